//! Unsigned LEB128 numbers: seven bits a byte, low bits first, the high bit set on all bytes but the last.

/// Appends `number`.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Cuts a number off the front of `input`; `None` when it is cut short, above 64 bits, or longer than it
/// need be.
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if (bits << shift) >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            let canonical = bits != 0 || shift == 0;
            return canonical.then_some(number);
        }
    }
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_survives_its_encoding(number: u64) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut input = bytes.as_slice();
            prop_assert_eq!(take(&mut input), Some(number));
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn bad_encodings_are_refused() {
        for mut bad in [&[][..], &[0x80], &[0x80, 0], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(take(&mut bad), None);
        }
        let mut most = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..];
        assert_eq!(take(&mut most), Some(u64::MAX));
    }
}
