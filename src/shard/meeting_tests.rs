//! Shards that meet on a board in this process.

use super::super::board::memory::MemoryBoard;
use super::super::lobby::{Answer, Go, text};
use super::*;

const SOON: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::from_millis(150);

fn board() -> Arc<dyn Board> {
    Arc::new(MemoryBoard::new(7_000_000_000))
}

fn terms(index: u32, within: Duration) -> Terms {
    let run_id = (index == 0).then(|| "r-1".to_owned());
    Terms { name: "t".to_owned(), run_id, seed: (index == 0).then_some(7), scenario: 11, within }
}

async fn open(board: &Arc<dyn Board>, index: u32, of: u32, terms: Terms) -> Result<Arc<Meeting>, MeetError> {
    let shard = Shard::new(index, of).unwrap();
    Meeting::open(Arc::clone(board), shard, terms, &CancellationToken::new()).await
}

async fn met(board: &Arc<dyn Board>, of: u32) -> Vec<Arc<Meeting>> {
    let all = (0..of).map(|index| open(board, index, of, terms(index, SOON)));
    futures::future::try_join_all(all).await.unwrap()
}

#[tokio::test]
async fn all_run_what_the_first_says_whatever_a_dead_run_left_behind() {
    for begun in [false, true] {
        let board = board();
        for stale in ["call", "come/1", "go"] {
            let call = Call {
                run_id: "dead".into(),
                seed: 1,
                of: 3,
                scenario: 11,
                version: env!("CARGO_PKG_VERSION").into(),
                nonce: 5,
                clock: "of a dead run".into(),
            };
            let stale_text = match stale {
                "call" => text(&call).unwrap(),
                "go" => text(&Go { call: 5, nonces: [(1, 9), (2, 9)].into(), refused: None }).unwrap(),
                _ => text(&Answer { call: 5, nonce: 9, refuses: None }).unwrap(),
            };
            board.put(&format!("lobby/t/{stale}"), stale_text).await.unwrap();
        }
        if !begun {
            board.wipe("lobby/t/go").await.unwrap();
        }
        board.put("run/r-1/left/1", "of a dead run".to_owned()).await.unwrap();
        // The others come first, and answer what the dead one said.
        let others = futures::future::try_join(open(&board, 1, 3, terms(1, SOON)), open(&board, 2, 3, terms(2, SOON)));
        let first = async {
            while !begun && !board.read("lobby/t/").await.unwrap().contains_key("come/2") {
                tokio::task::yield_now().await;
            }
            open(&board, 0, 3, terms(0, SOON)).await
        };
        let (others, first) = tokio::join!(others, first);
        let (others, first) = (others.unwrap(), first.unwrap());
        for meeting in [&first, &others.0, &others.1] {
            assert_eq!((meeting.run_id(), meeting.seed()), ("r-1", 7));
        }
        assert!(first.nobody_left(&[1, 2]).await.is_ok(), "what a dead run left is still there");
        first.end().await.unwrap();
        assert!(board.read("").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn who_runs_something_else_or_comes_twice_is_not_let_in() {
    let other = Terms { scenario: 12, ..terms(1, SOON) };
    let seed = Terms { seed: Some(8), ..terms(1, SOON) };
    for (second, of, expected) in [(other, 2, "scenario"), (seed, 2, "seed"), (terms(1, SOON), 3, "one of 3 shards")] {
        let board = board();
        let first = open(&board, 0, 2, terms(0, SOON));
        let (first, second) = tokio::join!(first, open(&board, 1, of, second));
        let (first, second) = (first.err().unwrap().to_string(), second.err().unwrap().to_string());
        assert!(first.contains("shard 1 is not of this run") && first.contains(expected), "{first}");
        assert!(second.contains(expected), "{second}");
    }
    let board = board();
    let twice = futures::future::join(open(&board, 1, 2, terms(1, SOON)), open(&board, 1, 2, terms(1, SOON)));
    let (first, (one, other)) = tokio::join!(open(&board, 0, 2, terms(0, SOON)), twice);
    first.unwrap();
    assert!(one.is_ok() != other.is_ok(), "one of two is let in");
    let told = one.err().or(other.err()).unwrap().to_string();
    assert_eq!(told, "another process is shard 1/2");
}

#[tokio::test]
async fn who_does_not_come_is_named() {
    let late = |result: Result<Arc<Meeting>, MeetError>| result.err().unwrap().to_string();
    let board = board();
    let (first, second) = tokio::join!(open(&board, 0, 4, terms(0, AT_ONCE)), open(&board, 2, 4, terms(2, AT_ONCE)));
    assert!(late(first).starts_with("shards 1, 3 did not come within"));
    assert!(late(second).starts_with("shard 0 did not come within"));
    let stopped = CancellationToken::new();
    stopped.cancel();
    let waits = Meeting::open(board, Shard::new(1, 2).unwrap(), terms(1, SOON), &stopped).await;
    assert!(matches!(waits, Err(MeetError::Stopped)));
}

#[tokio::test]
async fn two_runs_of_one_name_do_not_mix() {
    let board = board();
    let (one, other) = tokio::join!(open(&board, 0, 2, terms(0, AT_ONCE)), open(&board, 0, 2, terms(0, AT_ONCE)));
    let told = [one.err().unwrap(), other.err().unwrap()].map(|error| error.to_string());
    assert!(told.contains(&"another run meets under the same name".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_round_is_released_at_one_moment_and_nobody_runs_ahead() {
    let board = board();
    let shards = met(&board, 3).await;
    let rounds = shards.iter().map(|shard| async {
        let mut moments = vec![shard.start(Duration::ZERO).await.unwrap()];
        for round in 0..5 {
            moments.push(shard.round(round, 3, SOON).await.unwrap());
        }
        moments
    });
    let moments = futures::future::join_all(rounds).await;
    for stage in 0..6 {
        let of_stage = || moments.iter().map(|moments| moments[stage]);
        // The clocks of this test are one; what is left is how well it was measured.
        let apart = of_stage().max().unwrap() - of_stage().min().unwrap();
        assert!(apart < Duration::from_millis(5), "{apart:?}");
        if stage > 0 {
            assert!(of_stage().min() > moments.iter().map(|moments| moments[stage - 1]).max(), "someone ran ahead");
        }
    }
    // Signs of stages that all are past are wiped out.
    let signs = || async { board.read("run/r-1/at/").await.unwrap().len() };
    while signs().await > 6 {
        tokio::task::yield_now().await;
    }
    shards[0].end().await.unwrap();
    assert!(board.read("run/").await.unwrap().is_empty());
}

#[test]
fn a_sign_stays_until_all_are_past_its_stage() {
    let mut signs = Signs::default();
    let mut take = |name: &str, of_all| signs.take(name.to_owned(), of_all);
    assert_eq!(take("0", true), Vec::<String>::new());
    // Whoever goes on alone may be ahead of others that still look at the last stage of all.
    for alone in ["1", "2", "3"] {
        assert_eq!(take(alone, false), Vec::<String>::new());
    }
    assert_eq!(take("4", true), Vec::<String>::new());
    assert_eq!(take("5", true), ["0", "1", "2", "3"]);
    assert_eq!(take("6", true), ["4"]);
}

#[tokio::test]
async fn a_clock_that_is_set_lets_nobody_sleep_for_long() {
    for set in [3_600_000_000_000, -3_600_000_000_000] {
        let memory = Arc::new(MemoryBoard::new(0));
        let board: Arc<dyn Board> = Arc::clone(&memory) as Arc<dyn Board>;
        let shards = met(&board, 2).await;
        memory.set(set);
        // One has noticed, the other not yet.
        shards[0].pulse.end().await.unwrap();
        let both = futures::future::join(shards[0].round(0, 2, SOON), shards[1].round(0, 2, SOON));
        let began = Instant::now();
        let (one, other) = tokio::time::timeout(SOON, both).await.unwrap();
        for moment in [one.unwrap(), other.unwrap()] {
            assert!(moment >= began && moment - began < SOON, "released at another time than it came");
        }
    }
}

#[tokio::test]
async fn who_is_left_alone_ends_and_says_by_whom() {
    for (leaving, expected) in [
        (Some(Leaving::Enough), Parted::Enough { shard: 1 }),
        (
            Some(Leaving::Because("it was interrupted".into())),
            Parted::Left { shard: 1, why: "it was interrupted".into() },
        ),
        (None, Parted::Late { shards: vec![1], within: AT_ONCE }),
    ] {
        let shards = met(&board(), 2).await;
        let within = if leaving.is_some() { SOON } else { AT_ONCE };
        let (parted, ()) = tokio::join!(shards[0].round(3, 2, within), async {
            if let Some(leaving) = leaving {
                shards[1].leave(leaving).await.unwrap();
            }
        });
        assert_eq!(parted, Err(expected));
        // A round that takes only the first is none of the other's business.
        assert!(shards[0].round(4, 1, SOON).await.is_ok());
    }
}

#[tokio::test]
async fn the_final_state_is_read_when_all_are_quiet_or_their_time_is_up() {
    let shards = met(&board(), 3).await;
    shards[1].is_quiet().await.unwrap();
    assert_eq!(shards[0].await_quiet(AT_ONCE).await, Ok(vec![2]));
    let (missing, quiet) = tokio::join!(shards[0].await_quiet(SOON), shards[2].is_quiet());
    assert_eq!((missing, quiet), (Ok(Vec::new()), Ok(())));
}

#[tokio::test]
async fn what_is_set_up_once_is_waited_for_and_a_first_shard_that_fails_ends_the_wait() {
    let shards = met(&board(), 2).await;
    let (waited, told) = tokio::join!(shards[1].prepared(), shards[0].prepared());
    assert_eq!((waited, told), (Ok(()), Ok(())));
    let shards = met(&board(), 2).await;
    let failed = Leaving::Because("it could not be set up".into());
    let (waited, told) = tokio::join!(shards[1].prepared(), shards[0].leave(failed));
    told.unwrap();
    assert_eq!(waited, Err(Parted::Left { shard: 0, why: "it could not be set up".into() }));
}

#[tokio::test]
async fn a_board_that_breaks_ends_every_wait() {
    let memory = Arc::new(MemoryBoard::new(0));
    let board: Arc<dyn Board> = Arc::clone(&memory) as Arc<dyn Board>;
    let shards = met(&board, 2).await;
    memory.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let parted = shards[0].round(0, 2, SOON).await;
    assert!(matches!(&parted, Err(Parted::Board(why)) if why.contains("gone")), "{parted:?}");
}
