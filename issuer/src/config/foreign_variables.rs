//! Variables with our prefix that others set. For a service `countersign`, Kubernetes gives each
//! container of the namespace `COUNTERSIGN_SERVICE_HOST` and more ("service links"), and Docker does
//! the same for `--link`. They say nothing about the issuer's configuration.

/// Variables that configure the tests, not the issuer.
const OF_THE_TESTS: [&str; 8] = [
    "ISSUER_BINARY",
    "CHROMIUM",
    "FIREFOX",
    "POSTGRES",
    "NGINX",
    "HAPROXY",
    "RESTART_SECONDS",
    "SKIP",
];

/// Returns true if a variable is one that others set. `name` is without our prefix.
pub(super) fn is_foreign(name: &str, value: &str) -> bool {
    let is_of_long_tests = name.starts_with("CHAOS_") || name.starts_with("SOAK_");
    is_of_long_tests
        || OF_THE_TESTS.contains(&name)
        || is_service_link(name, value)
        || is_docker_link(name)
}

/// Kubernetes: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, and Docker's variables of ports.
/// The name may begin with the rest of the service's name, as in `ADMIN_SERVICE_HOST`.
fn is_service_link(name: &str, value: &str) -> bool {
    let parts: Vec<_> = name.split('_').collect();
    let is_service = parts.windows(2).any(|two| matches!(two, ["SERVICE", "HOST" | "PORT"]));
    is_service || is_port(&parts, value)
}

/// `PORT=tcp://10.0.0.1:8080`, and `PORT_8080_TCP` with the endings `ADDR`, `PORT`, `PROTO`, and
/// `START` and `END` for ranges.
fn is_port(parts: &[&str], value: &str) -> bool {
    const ENDINGS: [&str; 5] = ["ADDR", "PORT", "PROTO", "START", "END"];
    let is_number = |part: &str| part.parse::<u16>().is_ok();
    let is_protocol = |part: &str| ["TCP", "UDP", "SCTP"].contains(&part);
    match parts {
        [.., "PORT"] if value.contains("://") => true,
        [.., "PORT", port, protocol] => is_number(port) && is_protocol(protocol),
        [.., "PORT", port, protocol, ending] => {
            is_number(port) && is_protocol(protocol) && ENDINGS.contains(ending)
        }
        _ => false,
    }
}

/// Docker: `NAME`, and `ENV_…` with each variable of the linked container.
fn is_docker_link(name: &str) -> bool {
    let mut parts = name.split('_');
    name.ends_with("_NAME") || name == "NAME" || parts.any(|part| part == "ENV")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_services_and_links_are_foreign() {
        let address = "tcp://10.96.0.7:8080";
        for (name, value) in [
            ("SERVICE_HOST", "10.96.0.7"),
            ("SERVICE_PORT", "8080"),
            ("SERVICE_PORT_HTTP", "8080"),
            ("ISSUER_SERVICE_HOST", "10.96.0.7"),
            ("ADMIN_SERVICE_PORT_METRICS", "9090"),
            ("PORT", address),
            ("ISSUER_PORT", address),
            ("PORT_8080_TCP", address),
            ("PORT_8080_TCP_ADDR", "10.96.0.7"),
            ("PORT_8080_TCP_PORT", "8080"),
            ("ISSUER_PORT_8080_TCP_PROTO", "tcp"),
            ("PORT_53_UDP_START", "53"),
            ("NAME", "/app/countersign"),
            ("POSTGRES_NAME", "/app/countersign-postgres"),
            ("POSTGRES_ENV_X", "1"),
            ("ENV_LISTEN", "0.0.0.0:8080"),
            ("ISSUER_BINARY", "target/debug/countersign-issuer"),
            ("NGINX", "/usr/sbin/nginx"),
            ("RESTART_SECONDS", "600"),
        ] {
            assert!(is_foreign(name, value), "{name}");
        }
        for (name, value) in [
            ("LISTEN", "127.0.0.1:8080"),
            ("PORT", "8080"),
            ("PORT_HTTP_TCP", "8080"),
            ("PORT_8080_TCP_X", "8080"),
            ("SERVICE", "x"),
            ("HOST", "x"),
            ("ACESS_TTL", "5m"),
            ("", ""),
        ] {
            assert!(!is_foreign(name, value), "{name}");
        }
    }
}
