//! Blocks of addresses, as `ipBlock` has them.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::ranges::Ranges;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Addresses of 32 bits.
    V4,
    /// Addresses of 128 bits.
    V6,
}

impl Family {
    /// Every address.
    #[must_use]
    pub fn all(self) -> Ranges {
        Ranges::of(0, u128::MAX >> (128 - u32::from(self.bits())))
    }

    fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The address of this number, as it is written.
    #[must_use]
    pub fn show(self, number: u128) -> String {
        match self {
            Self::V4 => u32::try_from(number).map_or_else(
                |_| number.to_string(),
                |bits| std::net::Ipv4Addr::from_bits(bits).to_string(),
            ),
            Self::V6 => Ipv6Addr::from_bits(number).to_string(),
        }
    }
}

/// A CIDR without some that are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Block {
    cidr: String,
    except: Vec<String>,
    family: Family,
    addresses: Ranges,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    cidr: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
}

impl TryFrom<Wire> for Block {
    type Error = String;
    fn try_from(wire: Wire) -> Result<Self, String> {
        let except: Vec<&str> = wire.except.iter().map(String::as_str).collect();
        Self::parse(&wire.cidr, &except)
    }
}

impl From<Block> for Wire {
    fn from(block: Block) -> Self {
        Self {
            cidr: block.cidr,
            except: block.except,
        }
    }
}

impl Block {
    /// Reads a block.
    ///
    /// # Errors
    /// If something is no CIDR, an exception is of the other family, or an IPv6 address stands
    /// for an IPv4 one (`::ffff:0:0/96`): some read that as the one, some as the other.
    pub fn parse(cidr: &str, except: &[&str]) -> Result<Self, String> {
        let (family, mut addresses) = parse_cidr(cidr)?;
        for exception in except {
            let (of, taken) = parse_cidr(exception)?;
            if of != family {
                return Err(format!(
                    "`except` holds {exception:?}, which is of another family than {cidr:?}"
                ));
            }
            addresses = addresses.minus(&taken);
        }
        Ok(Self {
            cidr: cidr.to_owned(),
            except: except.iter().map(|&text| text.to_owned()).collect(),
            family,
            addresses,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn cidr(&self) -> &str {
        &self.cidr
    }

    /// As they were written.
    #[must_use]
    pub fn except(&self) -> &[String] {
        &self.except
    }

    /// IPv4 or IPv6.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Every address in it.
    #[must_use]
    pub fn addresses(&self) -> &Ranges {
        &self.addresses
    }
}

/// The addresses of a CIDR; bits of the host are ignored, as everybody ignores them.
pub(super) fn parse_cidr(text: &str) -> Result<(Family, Ranges), String> {
    let wrong = || format!("{text:?} is no CIDR, such as `10.0.0.0/8` or `2001:db8::/32`");
    let (address, length) = text.split_once('/').ok_or_else(wrong)?;
    let canonical = !length.is_empty()
        && length.bytes().all(|b| b.is_ascii_digit())
        && (length == "0" || !length.starts_with('0'));
    let length: u8 = length
        .parse()
        .ok()
        .filter(|_| canonical)
        .ok_or_else(wrong)?;
    let (family, number) = match address.parse().map_err(|_| wrong())? {
        IpAddr::V4(address) => (Family::V4, u128::from(address.to_bits())),
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            return Err(format!(
                "{text:?} is an IPv4 address in IPv6 clothes: write it as IPv4"
            ));
        }
        IpAddr::V6(address) => (Family::V6, address.to_bits()),
    };
    let host = family.bits().checked_sub(length).ok_or_else(wrong)?;
    let mask = u128::MAX.checked_shr(128 - u32::from(host)).unwrap_or(0);
    Ok((family, Ranges::of(number & !mask, number | mask)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_are_ranges() {
        let v4 = |text| parse_cidr(text).unwrap().1;
        assert_eq!(v4("10.0.0.0/8"), Ranges::of(0x0a00_0000, 0x0aff_ffff));
        assert_eq!(v4("10.1.2.3/8"), v4("10.0.0.0/8"));
        assert_eq!(v4("0.0.0.0/0"), Family::V4.all());
        assert_eq!(
            v4("255.255.255.255/32"),
            Ranges::of(0xffff_ffff, 0xffff_ffff)
        );
        assert_eq!(v4("::/0"), Family::V6.all());
        assert_eq!(v4("::1/128"), Ranges::of(1, 1));
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "::/129",
            "010.0.0.0/8",
            "10.0.0/8",
            "example.com/8",
            "10.0.0.0/8 ",
            "::ffff:10.0.0.0/104",
        ] {
            assert!(parse_cidr(bad).is_err(), "{bad}");
        }
        assert!(Block::parse("10.0.0.0/8", &["::/0"]).is_err());
    }

    #[test]
    fn exceptions_are_taken_out() {
        let block = Block::parse("0.0.0.0/0", &["0.0.0.0/1", "255.0.0.0/8"]).unwrap();
        assert_eq!(block.addresses(), &Ranges::of(0x8000_0000, 0xfeff_ffff));
        let again: Block = serde_json::from_str(&serde_json::to_string(&block).unwrap()).unwrap();
        assert_eq!(again, block);
    }
}
