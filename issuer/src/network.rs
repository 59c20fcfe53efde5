//! The address of the client behind trusted proxies, and the network that it belongs to.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Returns the address of the client: the address of the peer or, if the peer is a trusted proxy, the
/// last address in `X-Forwarded-For` that is not a trusted proxy. An entry that is not an address
/// ends the search, because nothing to its left can be trusted: then the error is the address of the
/// proxy that wrote it.
pub(crate) fn client<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> Result<IpAddr, IpAddr> {
    let mut client = peer.to_canonical();
    let entries = forwarded.flat_map(|line| line.split(',')).map(str::trim);
    // Empty elements of a list do not count (RFC 9110 §5.6.1).
    for entry in entries.rev().filter(|entry| !entry.is_empty()) {
        if !is_trusted(client, trusted) {
            break;
        }
        client = address_in(entry).ok_or(client)?.to_canonical();
    }
    Ok(client)
}

/// Reads an entry as proxies write it: an address, also with a port, a zone (RFC 4007 §11), brackets
/// or quotes (RFC 7239 §6).
fn address_in(entry: &str) -> Option<IpAddr> {
    let unquoted = entry.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let node = unquoted.unwrap_or(entry);
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if let Some(rest) = node.strip_prefix('[') {
        let (address, after) = rest.split_once(']')?;
        let is_read = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return ipv6_in(address).filter(|_| is_read).map(IpAddr::V6);
    }
    if let Some((address, port)) = node.split_once(':')
        && let Ok(address) = address.parse()
    {
        return is_port(port).then_some(IpAddr::V4(address));
    }
    node.parse().ok().or_else(|| ipv6_in(node).map(IpAddr::V6))
}

/// Reads an IPv6 address, which may have a zone.
fn ipv6_in(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "none"));
    address.parse().ok().filter(|_| !zone.is_empty())
}

/// Returns true if the peer is a trusted proxy.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// Returns the network with this prefix length that contains the client, or the client's address by
/// itself if it has fewer bits.
pub(crate) fn network_with(client: IpAddr, prefix_length: u8) -> IpNet {
    let client = client.to_canonical();
    IpNet::new(client, prefix_length).map_or_else(|_| client.into(), |network| network.trunc())
}

/// Returns the network of a client: an IPv4 address by itself, or an IPv6 /64, because one subscriber
/// usually has all of it.
pub(crate) fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Returns the networks of a client, each inside the one before: an IPv4 /16, /24 and the address, or
/// an IPv6 /32, /48, /56 and /64, which are the usual sizes of a provider, a site, a home and one of
/// its links.
pub(crate) fn enclosing(client: IpAddr) -> Vec<IpNet> {
    let client = client.to_canonical();
    let prefixes: &[u8] = if client.is_ipv4() { &[16, 24, 32] } else { &[32, 48, 56, 64] };
    let network = |prefix: &u8| IpNet::new(client, *prefix).ok().map(|network| network.trunc());
    prefixes.iter().filter_map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        let cases: &[(&str, &[&str], &str)] = &[
            ("192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.9"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5", "198.51.100.9, 10.2.3.4"], "198.51.100.9"),
            ("::ffff:10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("::1", &["2001:db8::5"], "2001:db8::5"),
        ];
        for (peer, forwarded, expected) in cases {
            let found = client(peer.parse().unwrap(), forwarded.iter().copied(), &trusted);
            assert_eq!(found.unwrap().to_string(), *expected, "{peer} {forwarded:?}");
        }
        let unreadable: &[(&[&str], &str)] = &[
            (&["203.0.113.5, unknown"], "10.0.0.1"),
            (&["203.0.113.5, unknown, 10.9.9.9"], "10.9.9.9"),
        ];
        for (forwarded, proxy) in unreadable {
            let peer = "10.0.0.1".parse().unwrap();
            let found = client(peer, forwarded.iter().copied(), &trusted);
            assert_eq!(found.unwrap_err().to_string(), *proxy, "{forwarded:?}");
        }
    }

    #[test]
    fn an_entry_is_an_address_in_any_form_that_proxies_write() {
        let cases = [
            ("198.51.100.7", "198.51.100.7"),
            ("198.51.100.7:4431", "198.51.100.7"),
            ("\"198.51.100.7:4431\"", "198.51.100.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]\"", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%eth0]:443", "fe80::1"),
        ];
        for (entry, address) in cases {
            assert_eq!(address_in(entry), Some(address.parse().unwrap()), "{entry}");
        }
        for entry in [
            "unknown",
            "_hidden",
            "?",
            "198.51.100.7:",
            "198.51.100.7:65536",
            "198.51.100.7%eth0",
            "[198.51.100.7]",
            "[2001:db8::1",
            "[2001:db8::1]443",
            "[2001:db8::1]:http",
            "\"2001:db8::1",
            "fe80::1%",
        ] {
            assert_eq!(address_in(entry), None, "{entry}");
        }
    }

    #[test]
    fn an_address_is_in_one_network_of_each_prefix_length() {
        let cases = [
            ("192.0.2.1", 32, "192.0.2.1/32"),
            ("::ffff:192.0.2.1", 24, "192.0.2.0/24"),
            ("192.0.2.1", 48, "192.0.2.1/32"),
            ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"),
            ("2001:db8:1:234:3:4:5:6", 56, "2001:db8:1:200::/56"),
            ("2001:db8:1:234:3:4:5:6", 48, "2001:db8:1::/48"),
        ];
        for (address, length, network) in cases {
            assert_eq!(network_with(address.parse().unwrap(), length).to_string(), network);
        }
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_64() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ];
        for (address, network) in cases {
            assert_eq!(network_of(address.parse().unwrap()).to_string(), network);
        }
    }

    #[test]
    fn the_networks_of_a_client_enclose_each_other() {
        let cases = [
            ("192.0.2.1", "192.0.0.0/16 192.0.2.0/24 192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.0.0/16 192.0.2.0/24 192.0.2.1/32"),
            (
                "2001:db8:1:2345:6:7:8:9",
                "2001:db8::/32 2001:db8:1::/48 2001:db8:1:2300::/56 2001:db8:1:2345::/64",
            ),
        ];
        for (address, networks) in cases {
            let found = enclosing(address.parse().unwrap());
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), networks);
        }
    }
}
