//! Any message survives encoding and decoding, alone and in a batch cut anywhere.

mod messages;

use messages::{control, message};
use proptest::collection::vec;
use proptest::prelude::*;
use umbel_wire::codec::{decode, decode_control, encode, encode_control};

proptest! {
    #[test]
    fn message_round_trip(message in message()) {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes);
        prop_assert_eq!(decode(&bytes), Ok(Some((message, bytes.len()))));
    }

    #[test]
    fn control_round_trip(message in control()) {
        let mut bytes = Vec::new();
        encode_control(&message, &mut bytes);
        prop_assert_eq!(decode_control(&bytes), Ok(Some((message, bytes.len()))));
    }

    #[test]
    fn batch_read_in_two_parts(batch in vec(message(), 1..8), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        for message in &batch {
            encode(message, &mut bytes);
        }
        let mut received = Vec::new();
        let mut found = Vec::new();
        for part in [&bytes[..cut.index(bytes.len())], &bytes[cut.index(bytes.len())..]] {
            received.extend_from_slice(part);
            while let Some((message, taken)) = decode(&received).expect("bytes of encode") {
                found.push(message);
                received.drain(..taken);
            }
        }
        prop_assert!(received.is_empty());
        prop_assert_eq!(found, batch);
    }
}
