//! Call sites as they are kept for the next session.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | how many are unclear |
//! | 8 + 1 + 1 + 5 + 4 | of each site: address, form, hook, operand, how many functions |
//! | 8 | of each of its functions: where it begins |

use super::super::cache::Content;
use super::{Form, Hook, Site, Sites};

impl Sites {
    /// As bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((self.unclear_count as u64).to_le_bytes());
        for site in &self.sites {
            bytes.extend(site.address.to_le_bytes());
            bytes.push(site.form as u8);
            bytes.push(u8::from(site.hook == Hook::Exit));
            bytes.extend(site.operand);
            bytes.extend((site.functions.len() as u32).to_le_bytes());
            bytes.extend(site.functions.iter().flat_map(|begin| begin.to_le_bytes()));
        }
        bytes
    }

    /// Out of them; `None`: they are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut content = Content(bytes);
        let unclear_count = usize::try_from(content.long()?).ok()?;
        let mut sites = Vec::new();
        while !content.0.is_empty() {
            let address = content.long()?;
            let form = match content.byte()? {
                0 => Form::Call,
                1 => Form::Jump,
                2 => Form::SlotCall,
                3 => Form::SlotJump,
                _ => return None,
            };
            let hook = match content.byte()? {
                0 => Hook::Enter,
                1 => Hook::Exit,
                _ => return None,
            };
            let operand = content.bytes(5)?.try_into().ok()?;
            let count = usize::try_from(content.short()?).ok()?;
            let functions = content.bytes(count.checked_mul(8)?)?.chunks_exact(8);
            let functions = functions.map(|begin| {
                u64::from_le_bytes(begin.try_into().expect("the pieces have 8 bytes"))
            });
            sites.push(Site {
                address,
                functions: functions.collect(),
                form,
                hook,
                operand,
            });
        }
        Some(Self {
            sites,
            unclear_count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_come_back_as_they_were() {
        let site = |address, form, hook, functions: &[u64]| Site {
            address,
            functions: functions.to_vec(),
            form,
            hook,
            operand: [1, 2, 3, 4, address as u8],
        };
        let sites = Sites {
            sites: vec![
                site(0x1000, Form::Call, Hook::Enter, &[0x1000]),
                site(0x1010, Form::Jump, Hook::Exit, &[]),
                site(0x1020, Form::SlotCall, Hook::Enter, &[1, 2, u64::MAX]),
                site(u64::MAX, Form::SlotJump, Hook::Exit, &[5]),
            ],
            unclear_count: 3,
        };
        let bytes = sites.to_bytes();
        let read = Sites::from_bytes(&bytes).expect("they are sites");
        assert_eq!((read.sites, read.unclear_count), (sites.sites, 3));
        // Cut off anywhere but between two: refused.
        let whole = (0..bytes.len()).filter(|end| Sites::from_bytes(&bytes[..*end]).is_some());
        assert_eq!(whole.count(), 4);
    }
}
