//! Faults of the embedded server: its processes, its elections, its fail point.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};

use super::inject::{Failure, Hold, Struck};
use crate::mongod::{Member, Mongod};
use crate::scenario::{FaultSpec, FaultTarget, LoadFault};
use crate::target::mongo::Identity;

/// How long a server that ends in good order goes on to answer, in a replica set.
const QUIESCE_MS: i32 = 100;
/// How often a member that is cut off is asked whether it is still the primary.
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// Has the server, or a member of the set, meet a fault, and waits until all is well again. Nothing where nobody is there to
/// meet it: no member is the primary at that moment.
pub(super) async fn strike(
    mongod: &Mongod,
    spec: &FaultSpec,
    draw: u64,
    hold: Hold<'_>,
) -> Result<Option<Struck>, Failure> {
    let Some(member) = choose(mongod, spec.target, draw).await else { return Ok(None) };
    let is_set = mongod.members().len() > 1;
    let is_primary = spec.target != Some(FaultTarget::Secondary);
    // Who strikes a secondary elects nobody.
    let before = match is_primary {
        true => term(member).await,
        false => None,
    };
    let mut down = None;
    match spec.kind {
        LoadFault::KillMongod => {
            member.take_down(false).await?;
            down = Some(Instant::now());
            hold.wait().await;
            mongod.bring_back(member).await?;
        }
        LoadFault::RestartMongod => {
            // Servers that do not know it have no such pause either.
            let quiesce = doc! { "setParameter": 1, "shutdownTimeoutMillisForSignaledShutdown": QUIESCE_MS };
            member.admin("end quickly", quiesce).await.ok();
            member.take_down(true).await?;
            down = Some(Instant::now());
            hold.wait().await;
            mongod.bring_back(member).await?;
        }
        LoadFault::StepDown => step_down(mongod, member, hold).await?,
        LoadFault::Partition => {
            mongod.cut_off(member);
            down = until_it_steps_down(member, hold).await.filter(|_| is_primary);
            hold.rest().await;
            mongod.join_again().await?;
        }
        _ => {
            member.pause()?;
            hold.wait().await;
            member.resume()?;
            mongod.await_whole().await?;
        }
    }
    let role = match (is_set, is_primary) {
        (false, _) => "the server",
        (true, true) => "the primary",
        (true, false) => "a secondary",
    };
    // A kill takes away what is in memory alone; an election, what no other member has.
    let loses = is_primary && (is_set || spec.kind == LoadFault::KillMongod);
    let terms = match (before, mongod.primary().await) {
        (Some(from), Some(primary)) => term(primary).await.map(|to| [from, to]),
        _ => None,
    };
    // With more than one election, who was elected first may have lost what it acknowledged since. How many there were of a set
    // that does not tell is not known.
    let down = down.filter(|_| terms.map_or(!is_set, |[from, to]| to.saturating_sub(from) < 2));
    Ok(Some(Struck { met: format!("{role} at {}", member.address()), count: None, loses, down, terms }))
}

/// The term of a primary, if it is one of a set.
async fn term(primary: &Member) -> Option<i64> {
    let hello = primary.admin("tell its term", doc! { "hello": 1 }).await;
    Identity::told(&hello.ok()?).term
}

/// Waits until a member that is cut off gives up to be the primary, but no longer than it is; the moment of it.
async fn until_it_steps_down(member: &Member, hold: Hold<'_>) -> Option<Instant> {
    let primary = async {
        // A member that does not answer acknowledges nothing either, but it may again.
        while member.is_primary().await != Some(false) {
            tokio::time::sleep(ASKED_EVERY).await;
        }
        Instant::now()
    };
    tokio::select! {
        () = hold.rest() => None,
        down = primary => Some(down),
    }
}

/// The member that is meant.
async fn choose(mongod: &Mongod, target: Option<FaultTarget>, draw: u64) -> Option<&Member> {
    let primary = mongod.primary().await?;
    if target != Some(FaultTarget::Secondary) {
        return Some(primary);
    }
    let others: Vec<&Member> = mongod.members().iter().filter(|member| member.port() != primary.port()).collect();
    let position = usize::try_from(draw).unwrap_or(usize::MAX).checked_rem(others.len())?;
    others.get(position).copied()
}

/// Has the primary step down. It does not stand for election for as long as the fault goes on.
async fn step_down(mongod: &Mongod, member: &Member, hold: Hold<'_>) -> Result<(), Failure> {
    let seconds = i64::try_from(hold.lasts.as_secs_f64().ceil().max(1.0) as u64).unwrap_or(i64::MAX);
    // Alone there is nobody to catch up, and whoever waits for that steps down only then.
    let alone = mongod.members().len() == 1;
    let catch_up = if alone { 0 } else { seconds.min(10) };
    let command = doc! { "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": catch_up, "force": alone };
    member.admin("step down", command).await?;
    if alone {
        hold.wait().await;
        // Refused by one that is the primary again already.
        member.admin("stand for election again", doc! { "replSetFreeze": 0 }).await.ok();
    }
    Ok(mongod.await_whole().await?)
}

/// Has commands fail by the server's own fail point, which is switched off again, whatever happens before.
pub(super) async fn fail_commands(mongod: &Mongod, spec: &FaultSpec, hold: Hold<'_>) -> Result<Struck, Failure> {
    let mode = match (spec.times, spec.probability) {
        (Some(times), _) => Bson::from(doc! { "times": i64::from(times) }),
        (None, Some(share)) if share < 1.0 => Bson::from(doc! { "activationProbability": share }),
        (None, _) => Bson::from("alwaysOn"),
    };
    let mut data = doc! { "failCommands": spec.commands.clone(), "errorCode": spec.code.unwrap_or_default() };
    if !spec.labels.is_empty() {
        data.insert("errorLabels", spec.labels.clone());
    }
    let on = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
    let count = while_set(mongod, &on, hold).await?;
    Ok(Struck { met: spec.commands.join(", "), count, ..Struck::default() })
}

/// Has a fail point be set for a while, and switched off again, whatever happens before; how often it struck, if that is known.
pub(super) async fn while_set(mongod: &Mongod, on: &Document, hold: Hold<'_>) -> Result<Option<u64>, Failure> {
    let off = doc! { "configureFailPoint": on.get_str("configureFailPoint")?, "mode": "off" };
    let processes = || mongod.members().iter().map(Member::pid).collect::<Vec<_>>();
    let began = processes();
    let before = configure(mongod, "switch its fail point on", on).await;
    if before.is_ok() {
        hold.wait().await;
    }
    let after = configure(mongod, "switch its fail point off", &off).await?;
    let before = before?;
    // Who was started again in between has counted anew.
    Ok((began == processes()).then(|| after.saturating_sub(before)))
}

/// Has every member configure its fail point; how often it struck so far, all members together.
async fn configure(mongod: &Mongod, step: &'static str, command: &Document) -> Result<u64, Failure> {
    // All at once: none waits for one that is away, and none is left out because another refuses.
    let asked = mongod.members().iter().map(|member| member.admin(step, command.clone()));
    let mut struck = 0;
    for answer in futures::future::join_all(asked).await {
        let answer = answer?;
        let count = answer.get("count").and_then(|count| count.as_i64().or_else(|| count.as_i32().map(i64::from)));
        struck += count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    }
    Ok(struck)
}
