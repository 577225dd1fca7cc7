//! The weak form in a run: bursts of equal requests, held against serial ones, where no invariant says what must hold.

use super::PAIRS;
use super::trial::{Ecosystem, Explored, Pair, Server, judged, scenario};

/// A run of a pair's route with bursts of eight.
fn ran(server: &Server, pair: &Pair, mode: &str) -> Explored {
    let text = scenario(pair.ecosystem, pair.routes, mode).replace("clients = [2]", "clients = [8]");
    judged(server, &["run"], &text)
}

fn held(pairs: &[&Pair]) -> (usize, Vec<String>) {
    let server = Server::start();
    let (mut found, mut accused) = (0, Vec::new());
    println!("| ecosystem | route | racy | correct |\n|---|---|---|---|");
    for pair in pairs {
        let [racy, correct] = ["buggy", "fixed"].map(|mode| ran(&server, pair, mode));
        found += usize::from(racy.verdict == "violated");
        println!("| {:?} | `{}` | {} | {} |", pair.ecosystem, pair.routes[0], racy.classes, correct.classes);
        for explored in [&racy, &correct] {
            assert_eq!(explored.report["as_if_serial"]["bursts_of"], 8, "{}: {}", pair.name(), explored.why);
        }
        if correct.verdict == "violated" {
            accused.push(format!("{}: {} {}", pair.name(), correct.classes, correct.why));
        }
        // That bursts are like serial ones proves too little for a verdict that holds.
        assert_ne!(correct.verdict, "holds", "{}: {}", pair.name(), correct.why);
    }
    println!("\nof {} racy routes {found} were found", pairs.len());
    (found, accused)
}

#[test]
fn bursts_of_a_run_find_the_race_of_a_route_without_an_invariant() {
    let some = ["Node subscribe", "Express visit", "Axum like"];
    let pairs: Vec<&Pair> = PAIRS.iter().filter(|pair| some.contains(&pair.name().as_str())).collect();
    let (found, accused) = held(&pairs);
    assert_eq!((pairs.len(), found), (some.len(), some.len()));
    assert!(accused.is_empty(), "{accused:#?}");
}

#[test]
fn a_route_that_goes_on_after_its_answers_is_not_accused() {
    let server = Server::start();
    // One after another its work is done when the next request comes; of a burst it goes on for longer than a silence.
    let pair = Pair { ecosystem: Ecosystem::Express, class: "late", routes: &["queued"] };
    let explored = ran(&server, &pair, "fixed");
    assert_eq!(explored.verdict, "inconclusive", "{} {}", explored.classes, explored.why);
    assert_eq!(explored.report["as_if_serial"]["bursts_of"], 8, "{}", explored.why);
}

/// One in twenty-five bursts has it, and so has one in as many serial rounds.
#[test]
fn what_comes_seldom_serially_as_well_is_no_race_of_bursts() {
    let server = Server::start();
    let pair = Pair { ecosystem: Ecosystem::Express, class: "lot", routes: &["group"] };
    let explored = ran(&server, &pair, "fixed");
    assert_eq!(explored.verdict, "inconclusive", "{} {}", explored.classes, explored.why);
    assert_eq!(explored.report["as_if_serial"]["bursts_of"], 8, "{}", explored.why);
}

#[test]
#[ignore = "takes some minutes"]
fn bursts_of_all_equal_pairs() {
    let pairs: Vec<&Pair> = PAIRS.iter().filter(|pair| pair.routes.len() == 1).collect();
    let (found, accused) = held(&pairs);
    assert!(accused.is_empty(), "{accused:#?}");
    assert!(found * 5 >= pairs.len() * 4, "{found} of {} were found", pairs.len());
}
