//! One connection through the proxy: two directions, the commands parked on it and the answers held.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fault::Refusal;
use super::gate::{Deliver, Event, Parked, Release, Replied, StepId};
use super::hub::Hub;
use super::unheard::UnderWay;
use super::wire::{Command, Frame, FrameError, Kind, Message, Reply, acknowledged, hello};

/// Requests that may wait for an answer on one connection. Drivers send one at a time, older ones a few.
const MAX_PENDING: usize = 64;

/// A connection's shared part.
struct Connection {
    hub: Arc<Hub>,
    client: AsyncMutex<OwnedWriteHalf>,
    server: AsyncMutex<OwnedWriteHalf>,
    /// Requests whose answer is more than bytes to forward, by their number.
    pending: Mutex<HashMap<i32, Pending>>,
    /// Connections to other members of the set.
    elsewhere: AsyncMutex<HashMap<String, BufReader<TcpStream>>>,
    closed: CancellationToken,
    tasks: TaskTracker,
    /// A command was parked on it.
    used: AtomicBool,
}

/// What to do with the answer to a request.
enum Pending {
    /// Rewrite it.
    Hello,
    /// Hold it.
    Step(StepId, mpsc::UnboundedSender<Event>),
    /// Tell of it, and keep it: the client asked for none.
    Unasked(StepId, mpsc::UnboundedSender<Event>),
    /// The client waits for none: pass it on only if it asked for one.
    Unheard { asked: bool, _under_way: UnderWay },
    /// Close the connection in its place.
    Lose,
}

/// Serves a connection until either side closes it.
pub(super) async fn run(client: TcpStream, server: TcpStream, hub: Arc<Hub>, tasks: TaskTracker) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let closed = hub.cancel.child_token();
    let shared = Arc::clone(&hub);
    let _open = shared.disturbance.opens(&closed);
    let connection = Arc::new(Connection {
        closed,
        hub,
        client: AsyncMutex::new(to_client),
        server: AsyncMutex::new(to_server),
        pending: Mutex::default(),
        elsewhere: AsyncMutex::default(),
        tasks,
        used: AtomicBool::new(false),
    });
    let (reason, side) = tokio::select! {
        ended = connection.requests(from_client) => (ended, "the client"),
        ended = connection.answers(from_server) => (ended, "the server"),
        () = connection.closed.cancelled() => (Ok(()), "the proxy"),
    };
    let reason = match reason {
        Ok(()) => format!("{side} closed the connection"),
        Err(FrameError::Io(error)) => format!("{side}: {error}"),
        Err(error) => {
            let reason = format!("closed a connection, {side} sent: {error}");
            connection.hub.complain(reason.clone());
            reason
        }
    };
    connection.closed.cancel();
    let pending = std::mem::take(&mut *connection.pending());
    for (_, pending) in pending {
        if let Pending::Step(step, events) | Pending::Unasked(step, events) = pending {
            tell(&events, Event::Lost { step, reason: reason.clone() });
        }
    }
}

impl Connection {
    fn pending(&self) -> MutexGuard<'_, HashMap<i32, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn requests(self: &Arc<Self>, reader: OwnedReadHalf) -> Result<(), FrameError> {
        let mut reader = BufReader::with_capacity(16 * 1024, reader);
        while let Some(frame) = Frame::read(&mut reader).await? {
            let Some(mut command) = Command::parse(&Message::parse(&frame)?) else {
                return Err(FrameError::Malformed { what: "request: it is an answer" });
            };
            if self.pending().len() >= MAX_PENDING {
                return Err(FrameError::Pipelined(MAX_PENDING));
            }
            self.hub.widen(&mut command);
            let unheard = command.kind == Kind::Write && !command.acknowledged;
            if unheard {
                self.hub.unheard.meet();
            }
            if let Some((step, events)) = self.hub.parks(&command) {
                self.park(frame, command, step, events)?;
                continue;
            }
            if command.is_hello() {
                self.pending().insert(frame.request_id(), Pending::Hello);
            }
            let met = self.hub.meets(&command);
            if met.loses_answer && command.answered {
                self.pending().insert(frame.request_id(), Pending::Lose);
            }
            if let Some(delay) = met.delay {
                tokio::time::sleep(delay).await;
            }
            if let Some(member) = self.hub.detour(&command, false) {
                let (answer, _) = self.ask(member, &frame).await?;
                self.pending().remove(&frame.request_id());
                self.client.lock().await.write_all(answer.bytes()).await?;
                continue;
            }
            let made_to_answer = if unheard { acknowledged(&frame)? } else { None };
            if made_to_answer.is_some() && !(met.loses_answer && command.answered) {
                let pending = Pending::Unheard { asked: command.answered, _under_way: self.hub.unheard.begin() };
                self.pending().insert(frame.request_id(), pending);
            }
            let frame = made_to_answer.unwrap_or(frame);
            self.server.lock().await.write_all(frame.bytes()).await?;
        }
        Ok(())
    }

    /// Holds a command in a task of its own, so that the connection can be read on.
    fn park(
        self: &Arc<Self>,
        frame: Frame,
        command: Command,
        step: StepId,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<(), FrameError> {
        if !self.used.swap(true, Ordering::Relaxed) {
            self.hub.uses_one_more();
        }
        let (gate, opened) = oneshot::channel();
        let command = Arc::new(command);
        let asked = Arc::clone(&command);
        let made_to_answer = if command.acknowledged { None } else { acknowledged(&frame)? };
        let answered = command.answered || made_to_answer.is_some();
        let pending = if command.answered { Pending::Step } else { Pending::Unasked };
        let frame = made_to_answer.unwrap_or(frame);
        // Entered before the event: it may be lost from now on.
        self.pending().insert(frame.request_id(), pending(step, events.clone()));
        if !tell(&events, Event::Parked(Parked { step, command, gate })) {
            self.pending().remove(&frame.request_id());
        }
        let connection = Arc::clone(self);
        self.tasks.spawn(async move {
            let release = tokio::select! {
                // Nobody schedules any more: let it pass.
                release = opened => release.unwrap_or(Release::Forward),
                () = connection.closed.cancelled() => return,
            };
            let member = connection.hub.detour(&asked, release == Release::Lagging);
            match release {
                Release::Forward | Release::Lagging => {}
                Release::Reset => return connection.closed.cancel(),
                Release::Refuse(refusal) => return connection.refuse(&frame, refusal, step, events),
            }
            if let Some(member) = member {
                return connection.answer_from(member, &frame, step, events).await;
            }
            if !answered {
                connection.pending().remove(&frame.request_id());
            }
            if connection.server.lock().await.write_all(frame.bytes()).await.is_err() {
                return connection.closed.cancel();
            }
            if !answered {
                let (gate, _) = oneshot::channel();
                tell(&events, Event::Replied(Replied { step, reply: Reply { ok: true, ..Reply::default() }, gate }));
            }
        });
        Ok(())
    }

    /// Has another member of the set answer than the one that this connection leads to.
    async fn answer_from(
        self: &Arc<Self>,
        member: String,
        frame: &Frame,
        step: StepId,
        events: mpsc::UnboundedSender<Event>,
    ) {
        let answer = tokio::select! {
            answer = self.ask(member, frame) => answer,
            () = self.closed.cancelled() => return,
        };
        match answer {
            Ok((answer, reply)) => {
                self.pending().remove(&frame.request_id());
                self.hub.opened(reply.cursor.unwrap_or_default());
                self.hold(answer, reply, step, events);
            }
            Err(_) => self.closed.cancel(),
        }
    }

    /// What another member of the set says; where it says nothing, that is told.
    async fn ask(&self, member: String, frame: &Frame) -> Result<(Frame, Reply), FrameError> {
        let answer = self.asked(member, frame).await;
        answer
            .inspect_err(|error| self.hub.complain(format!("a read could not be answered by another member: {error}")))
    }

    async fn asked(&self, member: String, frame: &Frame) -> Result<(Frame, Reply), FrameError> {
        let mut elsewhere = self.elsewhere.lock().await;
        // Taken out, so that one on which something went wrong is not used again.
        let mut server = match elsewhere.remove(&member) {
            Some(server) => server,
            None => BufReader::new(TcpStream::connect(&member).await?),
        };
        server.get_mut().write_all(frame.bytes()).await?;
        let Some(answer) = Frame::read(&mut server).await? else {
            return Err(FrameError::Malformed { what: "answer: the connection ended before it" });
        };
        elsewhere.insert(member.clone(), server);
        let reply = Reply::parse(&Message::parse(&answer)?);
        self.hub.opened_elsewhere(reply.cursor.unwrap_or_default(), member);
        Ok((answer, reply))
    }

    /// Answers in the server's place.
    fn refuse(self: &Arc<Self>, frame: &Frame, refusal: Refusal, step: StepId, events: mpsc::UnboundedSender<Event>) {
        let answer = refusal.answer(frame);
        let reply = answer.as_ref().ok().and_then(|answer| Some(Reply::parse(&Message::parse(answer).ok()?)));
        match (answer, reply) {
            (Ok(answer), Some(reply)) => {
                self.pending().remove(&frame.request_id());
                self.hold(answer, reply, step, events);
            }
            // What cannot be put into words is an answer that does not come.
            _ => self.closed.cancel(),
        }
    }

    async fn answers(self: &Arc<Self>, reader: OwnedReadHalf) -> Result<(), FrameError> {
        let mut reader = BufReader::with_capacity(16 * 1024, reader);
        while let Some(mut frame) = Frame::read(&mut reader).await? {
            let pending = self.pending().remove(&frame.response_to());
            match pending {
                Some(Pending::Step(step, events)) => {
                    let reply = Reply::parse(&Message::parse(&frame)?);
                    self.hub.opened(reply.cursor.unwrap_or_default());
                    self.hold(frame, reply, step, events);
                    continue;
                }
                Some(Pending::Unasked(step, events)) => {
                    let (gate, _) = oneshot::channel();
                    let reply = Reply::parse(&Message::parse(&frame)?);
                    tell(&events, Event::Replied(Replied { step, reply, gate }));
                    continue;
                }
                Some(Pending::Unheard { asked: false, .. }) => continue,
                Some(Pending::Hello) => {
                    frame = hello::rewrite(frame, &self.hub.addresses)?;
                    if more_to_come(&frame) {
                        // A streaming hello: the next answer answers this one.
                        self.pending().insert(frame.request_id(), Pending::Hello);
                    }
                }
                Some(Pending::Lose) => {
                    self.hub.disturbance.lost_answer();
                    self.closed.cancel();
                    return Ok(());
                }
                Some(Pending::Unheard { asked: true, .. }) | None => {}
            }
            self.client.lock().await.write_all(frame.bytes()).await?;
        }
        Ok(())
    }

    /// Holds an answer in a task of its own.
    fn hold(self: &Arc<Self>, frame: Frame, reply: Reply, step: StepId, events: mpsc::UnboundedSender<Event>) {
        let (gate, opened) = oneshot::channel();
        tell(&events, Event::Replied(Replied { step, reply, gate }));
        let connection = Arc::clone(self);
        self.tasks.spawn(async move {
            let deliver = tokio::select! {
                deliver = opened => deliver.unwrap_or(Deliver::Forward),
                () = connection.closed.cancelled() => return,
            };
            let forwarded = match deliver {
                Deliver::Forward => connection.client.lock().await.write_all(frame.bytes()).await.is_ok(),
                Deliver::Drop => false,
            };
            if !forwarded {
                connection.closed.cancel();
            }
        });
    }
}

/// Whether another answer follows without a request.
fn more_to_come(frame: &Frame) -> bool {
    matches!(Message::parse(frame), Ok(Message::Msg(msg)) if msg.more_to_come)
}

/// Tells the scheduler; false if it has gone, which is no error: then everything passes.
fn tell(events: &mpsc::UnboundedSender<Event>, event: Event) -> bool {
    events.send(event).is_ok()
}
