//! Colours for amounts.

/// Steps of the colour scale.
const STEPS: u32 = 5;

/// Steps of equal ratio, so that one busy moment does not hide all others.
pub struct Scale {
    /// First value of each step.
    starts: Vec<u64>,
    largest: u64,
}

impl Scale {
    pub fn new(largest: u64) -> Self {
        let mut starts = vec![1];
        for step in 1..STEPS {
            let start = (largest as f64)
                .powf(f64::from(step) / f64::from(STEPS))
                .ceil() as u64;
            if start > starts[starts.len() - 1] && start <= largest {
                starts.push(start);
            }
        }
        Self { starts, largest }
    }

    /// 1 to `STEPS`; the largest value has the last.
    pub fn step(&self, value: u64) -> usize {
        let above = STEPS as usize - self.starts.len();
        above + self.starts.partition_point(|start| *start <= value)
    }

    pub fn legend(&self, unit: &str, text_of: fn(u64) -> String, width: &str) -> String {
        let mut text = "<p class=\"legend\"><span><i class=\"c0\"></i>none</span>".to_owned();
        for (index, start) in self.starts.iter().enumerate() {
            let end = self
                .starts
                .get(index + 1)
                .map_or(self.largest, |next| next - 1);
            let (first, last) = (text_of(*start), text_of(end));
            let range = match first == last {
                true => first,
                false => format!("{first} to {last}"),
            };
            text += &format!(
                "<span><i class=\"c{}\"></i>{range}</span>",
                self.step(*start)
            );
        }
        text += &format!("<span>{unit} in {width}</span></p>");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_has_as_many_steps_as_it_can_fill() {
        let one = Scale::new(1);
        assert_eq!((one.step(1), one.starts.len()), (5, 1));
        let scale = Scale::new(1000);
        assert_eq!(scale.starts, [1, 4, 16, 64, 252]);
        assert_eq!([1, 3, 4, 1000].map(|value| scale.step(value)), [1, 1, 2, 5]);
    }
}
