//! Makes a replica set of started members and waits until it is whole.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;

use super::close::close;
use super::member::{POLL, READY_DEADLINE, REPLICA_SET};
use super::{Member, MongodError, Options};

/// Initiates the set and waits for a writable primary, usually the first member, and for the others to be secondaries.
pub(super) async fn initiate(members: &[Member], options: &Options) -> Result<(), MongodError> {
    let hosts: Vec<Bson> = (0_i32..)
        .zip(members)
        .map(|(index, member)| Bson::from(doc! { "_id": index, "host": member.address() }))
        .collect();
    // Elections are quick, because a run should not wait ten seconds for one that it has provoked itself.
    let (timeout, interval) = if options.divisible { (1000, 250) } else { (2000, 500) };
    let settings = doc! { "electionTimeoutMillis": timeout, "heartbeatIntervalMillis": interval };
    // Otherwise a majority has a write when its members have it in memory.
    let journaled = !options.unjournaled;
    let config = doc! {
        "_id": REPLICA_SET, "version": 1, "members": hosts, "settings": settings,
        "writeConcernMajorityJournalDefault": journaled,
    };
    let Some(first) = members.first() else { return Ok(()) };
    let client = client(first)?;
    let answer = client.database("admin").run_command(doc! { "replSetInitiate": config }).await;
    close(client).await;
    answer.map_err(|source| MongodError::Refused { step: "initiate the replica set", source })?;

    await_whole(members).await
}

/// Waits until one member is the primary and the others follow it, and not longer than a start may take.
pub(super) async fn await_whole(members: &[Member]) -> Result<(), MongodError> {
    let Some(first) = members.first() else { return Ok(()) };
    match tokio::time::timeout(READY_DEADLINE, wait_until_whole(members)).await {
        Ok(result) => result,
        Err(_) => Err(first.not_ready("elect a primary")),
    }
}

/// How long a member may take to tell its role: one that stands still tells nothing.
const ROLE_WITHIN: Duration = Duration::from_secs(1);

/// The member that says that it is the primary.
pub(super) async fn primary(members: &[Member]) -> Option<&Member> {
    let asked = members.iter().map(|member| async move { (is_primary(member).await == Some(true)).then_some(member) });
    futures::future::join_all(asked).await.into_iter().flatten().next()
}

/// Whether a member says that it is the primary, if it says anything.
pub(super) async fn is_primary(member: &Member) -> Option<bool> {
    let client = client(member).ok()?;
    let role = tokio::time::timeout(ROLE_WITHIN, role(&client)).await;
    close(client).await;
    role.ok()?.ok().map(|role| matches!(role, Role::Primary))
}

/// Asks the members for their roles until they are as they must be.
async fn wait_until_whole(members: &[Member]) -> Result<(), MongodError> {
    let clients = members.iter().map(client).collect::<Result<Vec<_>, _>>()?;
    loop {
        let roles = futures::future::join_all(clients.iter().map(role)).await;
        let primaries = roles.iter().filter(|role| matches!(role, Ok(Role::Primary))).count();
        let others = roles.iter().filter(|role| matches!(role, Ok(Role::Secondary))).count();
        if primaries == 1 && others == members.len() - 1 {
            break;
        }
        if let Some(first) = clients.first()
            && others == members.len()
        {
            // Saves waiting for the election timeout. A refusal means that an election is on its way already, and the
            // next round sees what came of it.
            first.database("admin").run_command(doc! { "replSetStepUp": 1 }).await.ok();
        }
        tokio::time::sleep(POLL).await;
    }
    for client in clients {
        close(client).await;
    }
    Ok(())
}

/// What a member is to the set.
enum Role {
    Primary,
    Secondary,
    Neither,
}

async fn role(client: &Client) -> Result<Role, Error> {
    let hello: Document = client.database("admin").run_command(doc! { "hello": 1 }).await?;
    let is = |field| hello.get_bool(field).unwrap_or(false);
    Ok(match (is("isWritablePrimary"), is("secondary")) {
        (true, _) => Role::Primary,
        (false, true) => Role::Secondary,
        (false, false) => Role::Neither,
    })
}

fn client(member: &Member) -> Result<Client, MongodError> {
    member.client().map_err(|source| MongodError::Refused { step: "take a connection", source })
}
