//! Serial numbers of certificates.

use std::fmt;

/// A certificate's serial number: hexadecimal in lower case, without leading zeros, as it stands in
/// lists of certificates that were taken back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(String);

/// A text is no serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no serial number: expected 1 to 40 hexadecimal digits, such as `0a1b` or `0A:1B`"
)]
pub struct SerialError(String);

impl Serial {
    /// The longest, in bytes; RFC 5280, section 4.1.2.2.
    const LONGEST: usize = 20;

    /// Reads a number as tools print it: in capitals or not, with or without colons and leading
    /// zeros.
    ///
    /// # Errors
    /// If it is no number, or longer than a certificate's can be.
    pub fn parse(text: &str) -> Result<Self, SerialError> {
        let error = || SerialError(text.chars().take(80).collect());
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let hexadecimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let serial = Self::of_digits(&digits.to_ascii_lowercase());
        if hexadecimal && serial.0.len() <= 2 * Self::LONGEST {
            Ok(serial)
        } else {
            Err(error())
        }
    }

    /// The number in the bytes that a certificate has.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::of_digits(&digits)
    }

    /// Zero has one digit, too: none would be no key of a list.
    fn of_digits(digits: &str) -> Self {
        let significant = digits.trim_start_matches('0');
        Self(
            if significant.is_empty() {
                "0"
            } else {
                significant
            }
            .to_owned(),
        )
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_one_text() {
        for text in ["a1b", "0A1B", "0a:1b", "00:0a:1b", "000a1b"] {
            assert_eq!(Serial::parse(text).unwrap().as_str(), "a1b", "{text}");
        }
        assert_eq!(Serial::of_bytes(&[0, 0x0a, 0x1b]).as_str(), "a1b");
        assert_eq!(Serial::of_bytes(&[0x80, 0]), Serial::parse("8000").unwrap());
        for zero in ["0", "00", "0:0"] {
            assert_eq!(Serial::parse(zero).unwrap().as_str(), "0", "{zero}");
        }
        assert_eq!(Serial::of_bytes(&[0, 0]), Serial::of_bytes(&[]));
        for text in ["", ":", "0x1", "12 34", "-1", "g", &"1".repeat(41)] {
            assert!(Serial::parse(text).is_err(), "{text}");
        }
        assert!(Serial::parse(&"f".repeat(40)).is_ok());
    }
}
