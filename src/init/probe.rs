//! A few requests, one after another, and what they leave behind: which values must be fresh, whether a repetition makes a
//! second document, which field holds the key. Main type: [`Probe`].

mod before;
mod lists;
mod shot;

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{by_answers, flag, refusal, same_id};
use super::documents::{Delta, State, path_of, plain};
use super::finding::{Finding, Kind, Subject, caller_of};
use super::fresh::{Fresh, Token};
use super::login::Login;
use super::made::{made, made_of_pair};
use super::values::{Pinned, candidates, is_number, shared, with_values};
use crate::import::Sample;
use before::Prepared;
use shot::Shot;

/// Most values that are tried one by one.
const MOST_VALUES: usize = 10;
/// How often a request is repeated before it is believed that what it goes into takes as much as a load brings.
const REPEATED: usize = 12;
/// Whose session it is where one log-in serves all.
const ONE_FOR_ALL: &str = "";
/// The status of what came into being.
const CREATED: u16 = 201;
/// Statuses by which somebody else is turned away.
const FORBIDDEN: [u16; 2] = [401, 403];
/// Statuses by which a sender is led on.
pub(super) const LED_ON: [u16; 3] = [301, 302, 303];
/// The status of what is refused because it is there.
const CONFLICT: u16 = 409;
/// Statuses of what is refused for its form.
const INVALID: [u16; 2] = [400, 422];

/// What comes of a request with other values.
enum Trial {
    /// What came of the very first one.
    Works,
    /// Something else.
    DoesNot,
    /// They are not of the form that the service wants: it answered with this status.
    Invalid(u16),
}

/// Requests under way.
pub struct Probe<'a> {
    subject: &'a dyn Subject,
    /// The log-in, once it worked.
    pub login: Option<Login>,
    /// What was taken for the log-in, for people.
    pub notes: Vec<String>,
    pins: &'a [Pinned],
    sessions: BTreeMap<String, Vec<(String, String)>>,
    state: State,
    tokens: u64,
    /// Values that earlier requests were found to need fresh: the same value is the same thing in every request.
    known: Vec<Fresh>,
    /// Values that more than one of the requests have.
    shared: BTreeSet<String>,
    /// Earlier requests that make something.
    makers: Vec<Finding>,
    /// Earlier requests that work on what one of these has made.
    steps: Vec<Finding>,
}

impl<'a> Probe<'a> {
    /// Who sends the requests.
    const USER: &'static str = "onlyprobe-a";

    /// Begins: logs in, if one of the requests does. Values are made from numbers after `first`: a service that keeps what
    /// earlier trials sent must be sent other ones.
    pub async fn begin(
        subject: &'a dyn Subject,
        samples: &[Sample],
        pins: &'a [Pinned],
        first: u64,
    ) -> Result<Self, String> {
        let state = subject.state().await?;
        let mut probe = Probe {
            subject,
            login: None,
            notes: Vec::new(),
            pins,
            sessions: BTreeMap::new(),
            state,
            tokens: first,
            known: Vec::new(),
            shared: shared(samples),
            makers: Vec::new(),
            steps: Vec::new(),
        };
        if let Some(login) = Login::among(samples) {
            if let Some(sign_up) = &login.sign_up {
                subject.send(sign_up).await?;
            }
            let reply = subject.send(&login.sample).await?;
            probe.login = login.answered(&reply);
            probe.notes.push(match &probe.login {
                Some(login) => login.in_words(),
                None => format!(
                    "{} looks like a log-in, but was answered with HTTP {} and neither a token nor a cookie: it is tried like the others",
                    login.sample.route(),
                    reply.status
                ),
            });
            probe.state = subject.state().await?;
        }
        Ok(probe)
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token::new(self.tokens)
    }

    /// Headers of a user's session.
    async fn session(&mut self, user: &str) -> Result<Vec<(String, String)>, String> {
        let Some(mut login) = self.login.clone() else { return Ok(Vec::new()) };
        if let Some(headers) = self.sessions.get(if login.once { ONE_FOR_ALL } else { user }) {
            return Ok(headers.clone());
        }
        let (mut status, mut headers) = self.log_in(&login, user).await?;
        if headers.is_none() && !login.once && self.sessions.is_empty() {
            // Somebody whom the service does not know: then there is one user.
            login.once = true;
            (status, headers) = self.log_in(&login, user).await?;
        }
        let headers = headers.ok_or_else(|| format!("the log-in as `{user}` was answered with HTTP {status}"))?;
        self.state = self.subject.state().await?;
        self.sessions.insert(if login.once { ONE_FOR_ALL } else { user }.to_owned(), headers.clone());
        self.login = Some(login);
        Ok(headers)
    }

    /// Signs up, where the requests say how, and logs in; the headers of the session, if that began one.
    async fn log_in(&self, login: &Login, user: &str) -> Result<(u16, Option<Vec<(String, String)>>), String> {
        let (sign_up, log_in) = login.requests(user);
        if let Some(sign_up) = sign_up {
            // Who is there already is refused.
            self.subject.send(&sign_up).await?;
        }
        let reply = self.subject.send(&log_in).await?;
        Ok((reply.status, login.session(&reply)))
    }

    /// Sends a request as a user, and looks at what came of it.
    async fn shot(&mut self, sample: &Sample, user: &str) -> Result<Shot, String> {
        let session = self.session(user).await?;
        let mut request = sample.clone();
        if let Some(login) = &self.login {
            // The session takes the place of the one that was recorded.
            request.headers.retain(|(name, _)| !login.carries(name));
            request.headers.extend(session);
        }
        if let Some(caller) = caller_of(sample) {
            request.headers.retain(|(name, _)| *name != caller);
            request.headers.push((caller, user.to_owned()));
        }
        let reply = self.subject.send(&request).await?;
        let after = self.subject.state().await?;
        let delta = Delta::between(&self.state, &after);
        self.state = after;
        Ok(Shot { reply, delta })
    }

    /// Goes on after a request that was not answered: what it left behind is nobody's.
    pub async fn go_on(&mut self) -> Result<(), String> {
        self.state = self.subject.state().await?;
        Ok(())
    }

    /// Finds out what a request is. A value that another request needs fresh may be what this one needs as it was recorded.
    pub async fn look(&mut self, sample: &Sample) -> Result<Finding, String> {
        let (pinned, told) = (self.told_by_the_user(sample), self.told(sample));
        let finding = self.tried(sample, told.clone()).await?;
        let is_needed = self.makers.iter().any(|maker| finding.may_need(maker));
        if !matches!(finding.kind, Kind::Failed(_)) || is_needed || told.len() == pinned.len() {
            return Ok(finding);
        }
        let recorded = self.tried(sample, pinned).await?;
        Ok(if matches!(recorded.kind, Kind::Failed(_)) { finding } else { recorded })
    }

    /// What a request is whose values are fresh as far as is known.
    async fn tried(&mut self, sample: &Sample, fresh: Vec<Fresh>) -> Result<Finding, String> {
        let mut finding = Finding::untried(sample.clone());
        if let Some(login) = &self.login {
            finding.sample.headers.retain(|(name, _)| !login.carries(name));
        }
        finding.fresh = fresh;
        let token = self.token();
        let first = self.shot(&renewed(sample, &finding.fresh, &token), Self::USER).await?;
        finding.statuses.push(first.reply.status);
        // What the source has may be there already, of an earlier time.
        let refused = first.reply.status == CONFLICT && finding.fresh.is_empty();
        if !first.is_good() {
            finding.kind = Kind::Failed(first.reply.in_words());
        }
        if !first.is_good() && !refused {
            self.after_another(&mut finding).await?;
            return Ok(finding);
        }
        if finding.fresh.is_empty() {
            let again = self.shot(sample, Self::USER).await?;
            (finding.fresh, finding.invalid) = self.fresh(sample, &first, &again).await?;
            if !refused {
                finding.kind = by_repetition(&first, &again);
            }
            if finding.fresh.is_empty() && finding.kind == Kind::Insert {
                finding.fresh = self.key(sample, &first).await?;
                finding.id = first.id();
                finding.names = first.names();
                finding.fields = first.reply.fields();
            }
        }
        match finding.fresh.is_empty() {
            true if refused => self.after_another(&mut finding).await?,
            true if finding.kind == Kind::Nothing => {}
            true => self.by_another(&mut finding, sample).await?,
            false => self.confirm(&mut finding).await?,
        }
        self.remember(&finding);
        Ok(finding)
    }

    /// The fewest values with which a request that was sent before comes out as one that was not; where there are none, one that
    /// was refused for its form, and by which status.
    async fn fresh(
        &mut self,
        sample: &Sample,
        first: &Shot,
        again: &Shot,
    ) -> Result<(Vec<Fresh>, Option<(String, u16)>), String> {
        if first.is_like(again) {
            let made = if sample.writes() { self.makes(sample, first).await? } else { Vec::new() };
            return Ok((made, None));
        }
        let mut all = candidates(sample);
        all.truncate(MOST_VALUES);
        let mut invalid = None;
        for one in &all {
            // What is refused for its form may have another one.
            let by_digits = one.by_digits().filter(|_| !is_number(sample, &one.literal));
            for one in std::iter::once(one.clone()).chain(by_digits) {
                match self.trial(sample, std::slice::from_ref(&one), (first, again)).await? {
                    Trial::Works => return Ok((vec![one], None)),
                    Trial::DoesNot => break,
                    Trial::Invalid(status) => invalid = invalid.or(Some((one.name, status))),
                }
            }
        }
        // Several at once: each that can be left out is.
        all.retain(|fresh| fresh.literal != fresh.name);
        if all.len() < 2 || !self.works(sample, &all, (first, again)).await? {
            return Ok((Vec::new(), invalid));
        }
        for one in all.clone() {
            let fewer: Vec<Fresh> = all.iter().filter(|other| **other != one).cloned().collect();
            if self.works(sample, &fewer, (first, again)).await? {
                all = fewer;
            }
        }
        Ok((all, None))
    }

    /// The value with which a request that changes nothing makes something: the one that it has is there already.
    async fn makes(&mut self, sample: &Sample, first: &Shot) -> Result<Vec<Fresh>, String> {
        if !first.delta.is_empty() {
            return Ok(Vec::new());
        }
        for one in candidates(sample).into_iter().take(MOST_VALUES) {
            let token = self.token();
            let shot = self.shot(&renewed(sample, std::slice::from_ref(&one), &token), Self::USER).await?;
            let created = shot.reply.status == CREATED && first.reply.status != CREATED;
            if shot.is_good() && (created || !shot.delta.inserted.is_empty()) {
                return Ok(vec![one]);
            }
        }
        Ok(Vec::new())
    }

    async fn works(&mut self, sample: &Sample, fresh: &[Fresh], before: (&Shot, &Shot)) -> Result<bool, String> {
        Ok(matches!(self.trial(sample, fresh, before).await?, Trial::Works))
    }

    async fn trial(
        &mut self,
        sample: &Sample,
        fresh: &[Fresh],
        (first, again): (&Shot, &Shot),
    ) -> Result<Trial, String> {
        let token = self.token();
        let mut shot = self.shot(&renewed(sample, fresh, &token), Self::USER).await?;
        let values: Vec<(String, String)> =
            fresh.iter().map(|fresh| (fresh.concrete(&token), fresh.literal.clone())).collect();
        shot.delta.renamed(&values);
        Ok(match shot.reply.status {
            _ if shot.is_like(first) || shot.makes_anew(first, again) => Trial::Works,
            status if INVALID.contains(&status) && shot.delta.inserted.is_empty() => Trial::Invalid(status),
            _ => Trial::DoesNot,
        })
    }

    /// What a repetition does, by the same caller and by another one.
    async fn confirm(&mut self, finding: &mut Finding) -> Result<(), String> {
        let token = self.token();
        let Some(Prepared { request, values, .. }) = self.prepared(finding, &token).await? else { return Ok(()) };
        let first = self.shot(&request, Self::USER).await?;
        let again = self.shot(&request, Self::USER).await?;
        finding.statuses = vec![first.reply.status, again.reply.status];
        finding.kind = match again.reply.status {
            _ if first.delta.is_empty() && again.delta.is_empty() => by_answers(&first.reply, &again.reply),
            _ if first.delta.inserted.is_empty() => Kind::Change,
            status if !again.is_good_like(&first) => Kind::Unique(status),
            _ if !again.delta.inserted.is_empty() => Kind::Insert,
            _ if again.delta.is_empty() => Kind::CreateOrGet,
            _ => Kind::Upsert,
        };
        finding.flag = flag(&first.reply, &again.reply);
        finding.names = first.names();
        finding.fields = first.reply.fields();
        if first.delta.is_empty() {
            finding.id = same_id(&first.reply, &again.reply);
        }
        if let Some((document, made)) = made(&first.delta, &values, &request.segments) {
            finding.id = first.reply.json.as_ref().and_then(|json| path_of(json, &plain(document.get("_id")?)?));
            finding.made = Some(made);
        }
        if finding.kind == Kind::CreateOrGet && finding.id.is_some() {
            finding.refused = refusal(&first.reply, &again.reply, finding.id.as_deref());
            if finding.refused.is_some() {
                finding.kind = Kind::Unique(again.reply.status);
            }
        }
        if matches!(finding.kind, Kind::Upsert | Kind::Change) {
            self.added(finding, &request, &again.delta, &values).await?;
        }
        if finding.kind == Kind::CreateOrGet {
            self.varied(finding, &request, &values).await?;
        }
        if finding.kind == Kind::Upsert {
            self.outgrown(finding, &request).await?;
        }
        self.by_another(finding, &request).await?;
        if finding.per_caller && finding.kind == Kind::CreateOrGet {
            self.pair(finding).await?;
        }
        Ok(())
    }

    /// What takes in all that comes may be full one day, and another one is begun: then it is no rule that there is one.
    async fn outgrown(&mut self, finding: &mut Finding, request: &Sample) -> Result<(), String> {
        let Some(collection) = finding.made.as_ref().map(|made| format!("{}.{}", made.database, made.collection))
        else {
            return Ok(());
        };
        for _ in 0..REPEATED {
            let shot = self.shot(request, Self::USER).await?;
            if shot.delta.inserted.iter().any(|(namespace, _)| *namespace == collection) {
                finding.begins_another = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether what it makes belongs to its caller: two callers would not meet.
    async fn by_another(&mut self, finding: &mut Finding, request: &Sample) -> Result<(), String> {
        if self.login.is_some() || finding.caller.is_some() {
            let other = self.shot(request, "onlyprobe-b").await?;
            // What its maker alone may use is raced by its maker alone.
            let is_forbidden = !finding.before.is_empty() && FORBIDDEN.contains(&other.reply.status);
            finding.per_caller = !other.delta.inserted.is_empty() || is_forbidden;
            let theirs = other.delta.changed_documents;
            if !finding.per_caller && !theirs.is_empty() {
                let own = self.shot(request, Self::USER).await?.delta.changed_documents;
                finding.per_caller = !own.is_empty() && own.is_disjoint(&theirs);
            }
        }
        Ok(())
    }

    /// Whether the caller and the value are a pair: each asks for the other, and one document comes of it.
    async fn pair(&mut self, finding: &mut Finding) -> Result<(), String> {
        let [fresh] = finding.fresh.as_slice() else { return Ok(()) };
        if !fresh.is_text() {
            return Ok(());
        }
        let token = self.token().text;
        let (a, b) = (format!("{token}a"), format!("{token}b"));
        let naming = |other: &str| with_values(&finding.sample, &[(fresh.literal.clone(), other.to_owned())].into());
        let (one, two) = (naming(&b), naming(&a));
        let first = self.shot(&one, &a).await?;
        let back = self.shot(&two, &b).await?;
        if !first.is_good() || first.delta.inserted.is_empty() || !back.is_good() || !back.delta.inserted.is_empty() {
            return Ok(());
        }
        if let Some(made) = made_of_pair(&first.delta, &a, &b) {
            finding.pair = true;
            finding.made = Some(made);
        }
        Ok(())
    }
}

/// What a request is that does the same again, or does not and no value explains it.
fn by_repetition(first: &Shot, again: &Shot) -> Kind {
    match first.is_like(again) {
        false => Kind::Upsert,
        true if !first.delta.inserted.is_empty() => Kind::Insert,
        true if first.delta.is_empty() => Kind::Nothing,
        true => Kind::Change,
    }
}

/// The request with values of this trial.
fn renewed(sample: &Sample, fresh: &[Fresh], token: &Token) -> Sample {
    let values = fresh.iter().map(|fresh| (fresh.literal.clone(), fresh.concrete(token))).collect();
    with_values(sample, &values)
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
