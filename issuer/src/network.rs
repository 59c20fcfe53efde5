//! The address of the client behind trusted proxies, and the network that it belongs to.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Returns the address of the client: the address of the peer or, if the peer is a trusted proxy, the
/// last address in `X-Forwarded-For` that is not a trusted proxy. An entry that is not an address
/// ends the search, because nothing to its left can be trusted.
pub(crate) fn client<'a>(
    peer: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut client = peer.to_canonical();
    for entry in forwarded.flat_map(|line| line.split(',')).rev() {
        if !is_trusted(client, trusted) {
            break;
        }
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
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

/// Returns the networks of a client, each inside the one before: an IPv4 /24 and the address, or an
/// IPv6 /48, /56 and /64, which are the usual sizes of a site, a home and one of its links.
pub(crate) fn enclosing(client: IpAddr) -> Vec<IpNet> {
    let client = client.to_canonical();
    let prefixes: &[u8] = if client.is_ipv4() { &[24, 32] } else { &[48, 56, 64] };
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
            ("10.0.0.1", &["203.0.113.5, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.5, unknown, 10.9.9.9"], "10.9.9.9"),
            ("::ffff:10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("::1", &["2001:db8::5"], "2001:db8::5"),
        ];
        for (peer, forwarded, expected) in cases {
            let found = client(peer.parse().unwrap(), forwarded.iter().copied(), &trusted);
            assert_eq!(found.to_string(), *expected, "{peer} {forwarded:?}");
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
            ("192.0.2.1", "192.0.2.0/24 192.0.2.1/32"),
            ("::ffff:192.0.2.1", "192.0.2.0/24 192.0.2.1/32"),
            (
                "2001:db8:1:2345:6:7:8:9",
                "2001:db8:1::/48 2001:db8:1:2300::/56 2001:db8:1:2345::/64",
            ),
        ];
        for (address, networks) in cases {
            let found = enclosing(address.parse().unwrap());
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), networks);
        }
    }
}
