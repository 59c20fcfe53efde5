//! `cargo xtask bench native`: RS256 tokens with native code. criterion measures one contestant
//! after the other; then they take turns, for the ratios.

use std::{hint::black_box, time::Instant};

use countersign_bench_native::{
    Contestant, contestants,
    tokens::{AUDIENCE, ISSUER, Key, Token},
};
use criterion::Criterion;

const TOKENS: usize = 512;
const ROUNDS: usize = 300;
/// The tokens in a turn. Like the benchmarks in JavaScript, a turn takes about a millisecond.
const TURN: usize = 32;

fn main() {
    let key = Key::generate();
    let contestants = contestants(&key);
    contestants.iter().for_each(|contestant| refuses_bad_tokens(contestant, &key));
    let tokens: Vec<_> =
        (0..TOKENS).map(|number| key.sign(ISSUER, AUDIENCE, 3600, number)).collect();

    one_at_a_time(&contestants, &tokens);
    by_turns(&contestants, &tokens);
}

/// A library that accepts these would be fast because it checks less.
fn refuses_bad_tokens(Contestant { name, checks_claims, accepts }: &Contestant, key: &Key) {
    assert!(accepts(&key.sign(ISSUER, AUDIENCE, 3600, 0)), "{name} refuses a good token");
    let stranger = Key::generate().sign(ISSUER, AUDIENCE, 3600, 0);
    assert!(!accepts(&stranger), "{name} accepts a token of another key");
    let bad = [
        ("of another issuer", key.sign("https://evil.example", AUDIENCE, 3600, 0)),
        ("for another audience", key.sign(ISSUER, "https://evil.example", 3600, 0)),
        ("that is expired", key.sign(ISSUER, AUDIENCE, -10, 0)),
    ];
    for (fault, token) in bad {
        assert!(!checks_claims || !accepts(&token), "{name} accepts a token {fault}");
    }
}

fn one_at_a_time(contestants: &[Contestant], tokens: &[Token]) {
    let mut criterion = Criterion::default().configure_from_args();
    for Contestant { name, accepts, .. } in contestants {
        let mut next = tokens.iter().cycle();
        criterion.bench_function(name, |bencher| bencher.iter(|| next.next().map(accepts)));
    }
    criterion.final_summary();
}

/// Prints the median time of each contestant, and of its ratio to the last one in the same round.
fn by_turns(contestants: &[Contestant], tokens: &[Token]) {
    let mut times = vec![Vec::with_capacity(ROUNDS); contestants.len()];
    for round in 0..ROUNDS {
        let (_, later) = tokens.split_at(round * TURN % (TOKENS - TURN));
        for at in (0..contestants.len()).map(|at| (at + round) % contestants.len()) {
            let start = Instant::now();
            let accepted = later.iter().take(TURN).filter(|token| (contestants[at].accepts)(token));
            assert_eq!(black_box(accepted.count()), TURN);
            times[at].push(start.elapsed().as_secs_f64() * 1e6 / TURN as f64);
        }
    }
    println!(
        "\n{:28} {:>8} {:>17} {:>12} {:>12}",
        "by turns", "µs", "quartiles", "÷ the last", "when quiet"
    );
    let [.., last] = &*times else { return };
    for (Contestant { name, .. }, own) in contestants.iter().zip(&times) {
        let quartiles = format!("{:.2}–{:.2}", quantile(own, 0.25), quantile(own, 0.75));
        let ratios: Vec<_> = own.iter().zip(last).map(|(own, last)| own / last).collect();
        let quiet = quantile(own, 0.1) / quantile(last, 0.1);
        let (median, ratio) = (quantile(own, 0.5), quantile(&ratios, 0.5));
        println!("{name:28} {median:8.2} {quartiles:>17} {ratio:12.2} {quiet:12.2}");
    }
}

fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(share * (sorted.len() - 1) as f64) as usize]
}
