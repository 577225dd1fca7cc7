//! [`Injecting`]: a policy around another one, which has one planned fault strike its command when the other chooses it.

use std::borrow::Cow;
use std::sync::Arc;

use super::Fault;
use super::plan::Planned;
use crate::explore::policy::{Enabled, LaneView, Policy, Undecided, View};
use crate::explore::schedule::Choice;
use crate::explore::wire::{Command, Kind};

/// Another policy's choices, with a fault among them.
#[derive(Debug, Clone)]
pub(super) struct Injecting<P> {
    pub(super) inner: P,
    planned: Planned,
    /// It has struck in the execution under way.
    struck: bool,
}

/// A class that no request has: who is struck is like nobody else.
const STRUCK: usize = usize::MAX;

impl<P> Injecting<P> {
    pub(super) fn new(inner: P, planned: Planned) -> Self {
        Injecting { inner, planned, struck: false }
    }

    /// Another execution begins.
    pub(super) fn again(&mut self) {
        self.struck = false;
    }

    fn strikes(&self, enabled: &Enabled) -> bool {
        let Planned { request, ordinal, .. } = self.planned;
        !self.struck && !enabled.is_answer && (enabled.pick.request, enabled.ordinal) == (request, ordinal)
    }

    /// What the other policy is shown: who is struck is not interchangeable with anybody, and a command at which the service is
    /// killed is independent of nothing.
    fn shown<'v>(&self, view: &'v View<'_>) -> (Cow<'v, [Enabled]>, Vec<LaneView>) {
        let mut lanes = view.lanes.to_vec();
        lanes[self.planned.request].class = STRUCK;
        let mut enabled = Cow::Borrowed(view.enabled);
        let at = view.enabled.iter().position(|enabled| self.strikes(enabled));
        if let Some(at) = at.filter(|_| self.planned.fault.is_crash()) {
            let command = &view.enabled[at].command;
            let command = Command { kind: Kind::Write, spans: true, ..Command::clone(command) };
            enabled.to_mut()[at].command = Arc::new(command);
        }
        (enabled, lanes)
    }
}

impl<P: Policy> Policy for Injecting<P> {
    fn plans(&self) -> Option<Fault> {
        Some(self.planned.fault)
    }

    fn choose(&mut self, view: &View<'_>) -> Result<Choice, Undecided> {
        let (enabled, lanes) = self.shown(view);
        let mut choice = self.inner.choose(&View { enabled: &enabled, lanes: &lanes })?;
        let is_struck = |enabled: &&Enabled| self.strikes(enabled);
        if let Some(struck) = view.enabled.iter().find(is_struck).map(|enabled| enabled.pick)
            && let Some(pick) = choice.0.iter_mut().find(|pick| **pick == struck)
        {
            pick.fault = Some(self.planned.fault);
            self.struck = true;
        }
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::dfs::Dfs;
    use crate::explore::fake::{Fake, find_then_insert};
    use crate::explore::policy::{Replay, Serial};

    const LOST: Planned = Planned { request: 0, ordinal: 1, fault: Fault::LostCommand };

    #[tokio::test]
    async fn a_planned_fault_strikes_its_command_and_no_other() {
        let (fake, mut scheduler) = Fake::new(2, find_then_insert);
        let struck = scheduler.execute(&fake, 0, &mut Injecting::new(Serial, LOST)).await;
        assert_eq!(struck.schedule.to_string(), "1 1:lost-command 2");
        assert_eq!(struck.named(), "R1.find R1.insert!lost-command R2.find");
        assert_eq!(struck.touched.into_iter().collect::<Vec<_>>(), [0]);
        let again = scheduler.execute(&fake, 1, &mut Replay::new(struck.schedule.clone())).await;
        assert_eq!((again.stuck, again.schedule), (None, struck.schedule));
    }

    #[tokio::test]
    async fn every_interleaving_is_met_with_the_fault() {
        let (fake, mut scheduler) = Fake::new(2, find_then_insert);
        let mut policy = Injecting::new(Dfs::new(false), LOST);
        let mut met = Vec::new();
        loop {
            let execution = scheduler.execute(&fake, u32::try_from(met.len()).unwrap(), &mut policy).await;
            met.push(execution.schedule.to_string());
            policy.again();
            if !policy.inner.advance() {
                break;
            }
        }
        let struck = met.iter().filter(|schedule| schedule.matches(":lost-command").count() == 1).count();
        // Where the other inserts first, there is nothing to insert any more.
        assert_eq!((met.len(), struck), (6, 5), "{met:?}");
    }
}
