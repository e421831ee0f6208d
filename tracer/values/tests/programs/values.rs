// What Rust has: enumerations with values, slices, texts with a length, boxes.
use std::hint::black_box;

unsafe extern "C" {
    fn umbel_wait();
}

struct Point {
    x: i32,
    y: f64,
}

enum Shape {
    Empty,
    Round(f32),
    Named { sides: u8, at: Point },
}

#[derive(Clone, Copy)]
enum Colour {
    Red,
    Blue = 5,
}

#[inline(never)]
fn work(count: i32, word: &str, pair: (u8, char), shapes: &[Shape; 3]) -> usize {
    let point = Point { x: 3, y: 2.5 };
    let boxed = Box::new(41_u64);
    let numbers = [1_i16, -2, 3];
    let some = Some(7_u32);
    let none: Option<u32> = None;
    let reference: Option<&Point> = Some(&point);
    let colour = Colour::Blue;
    let big = 1_i128 << 100;
    let yes = true;
    // SAFETY: it waits for a line.
    unsafe { umbel_wait() };
    black_box((&boxed, &numbers, &some, &none, &reference, &big, &yes, colour as u8));
    count as usize + word.len() + pair.0 as usize + shapes.len() + point.x as usize + point.y as usize
}

fn main() {
    let shapes = [Shape::Empty, Shape::Round(1.5), Shape::Named { sides: 4, at: Point { x: 1, y: 2.0 } }];
    let all = work(3, "word", (9, 'é'), &shapes);
    let sum: f32 = shapes
        .iter()
        .map(|shape| match shape {
            Shape::Empty => 0.0,
            Shape::Round(radius) => *radius,
            Shape::Named { sides, at } => f32::from(*sides) + at.x as f32,
        })
        .sum();
    std::process::exit(i32::from(all == 0 || sum < 0.0 || Colour::Red as u8 == 1));
}
