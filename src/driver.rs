// SPDX-License-Identifier: GPL-2.0

//! A driver as its users know it: a name, a file, parameters, a state. It outlives its domains; a
//! death ends a domain, and the driver goes on in the next one.

use crate::domain::Domain;
use crate::fault_handler::recovery::{Decision, History, Policy};
use crate::fault_handler::watch::Limits;
use crate::report::Death;
use crate::side_stubs::handlers::kept::Kept;
use crate::sys::cpu;
use crate::sys::lock::BhLock;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use kernel::prelude::*;
use kernel::sync::Arc;

/// Where a driver stands. Each state holds the domain that reports are about.
pub(crate) enum Phase {
    /// Its `init_module` runs for the first time.
    Loading(Arc<Domain>),
    /// It serves its devices.
    Running(Arc<Domain>),
    /// The domain is dead, and the next one is being made.
    Recovering {
        dead: Arc<Domain>,
        /// A user asked for the restart: it is no failure.
        requested: bool,
    },
    /// The domain is dead, and nothing happens until a user asks for it.
    Failed(Arc<Domain>),
    /// An unload is in progress.
    Stopping(Arc<Domain>),
    /// Unloaded.
    Gone,
}

/// Where a driver's file is, and its parameters.
pub(crate) struct Source {
    pub(crate) path: KVec<u8>,
    pub(crate) params: KVec<u8>,
}

impl Source {
    /// A copy of both.
    pub(crate) fn new(path: &[u8], params: &[u8]) -> Result<Arc<Source>> {
        let mut source = Source {
            path: KVec::new(),
            params: KVec::new(),
        };
        source.path.extend_from_slice(path, GFP_KERNEL)?;
        source.params.extend_from_slice(params, GFP_KERNEL)?;
        Ok(Arc::new(source, GFP_KERNEL)?)
    }
}

/// What `last_fault` tells of a death.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) rule: &'static str,
    pub(crate) upcall: &'static str,
    pub(crate) import: Option<&'static str>,
    pub(crate) value: u64,
}

/// A loaded driver.
pub(crate) struct Driver {
    phase: BhLock<Phase>,
    source: BhLock<Arc<Source>>,
    /// A domain made of another file, to be tried first.
    next: BhLock<Option<(Arc<Domain>, Arc<Source>)>>,
    policy: BhLock<Policy>,
    history: BhLock<History>,
    fault: BhLock<Option<Fault>>,
    limits: BhLock<Limits>,
    /// The one of them that each interrupt looks at.
    irqs: AtomicU64,
    /// Restarts that succeeded, and attempts that did not.
    pub(crate) recoveries: AtomicU64,
    pub(crate) attempts_failed: AtomicU64,
    /// When the last domain died, and how long the last recovery took, in ns.
    died: AtomicU64,
    pub(crate) outage: AtomicU64,
    /// What passes from one domain to the next.
    pub(crate) kept: Kept,
    /// The optimisations that are on in each of its domains: bits of `rings.rs`.
    pub(crate) optimisations: AtomicU32,
}

impl Driver {
    /// The driver whose first domain is `domain`.
    pub(crate) fn new(domain: &Arc<Domain>, source: Arc<Source>) -> Result<Arc<Driver>> {
        let driver = Driver {
            phase: BhLock::new(Phase::Loading(domain.clone())),
            source: BhLock::new(source),
            next: BhLock::new(None),
            policy: BhLock::new(Policy::DEFAULT),
            history: BhLock::new(History::new()),
            fault: BhLock::new(None),
            limits: BhLock::new(Limits::DEFAULT),
            irqs: AtomicU64::new(Limits::DEFAULT.irqs),
            recoveries: AtomicU64::new(0),
            attempts_failed: AtomicU64::new(0),
            died: AtomicU64::new(0),
            outage: AtomicU64::new(0),
            kept: Kept::new(),
            optimisations: AtomicU32::new(0),
        };
        let driver = Arc::new(driver, GFP_KERNEL)?;
        domain.set_driver(&driver);
        Ok(driver)
    }

    /// The present domain, or the last one; `None` once the driver is unloaded.
    pub(crate) fn domain(&self) -> Option<Arc<Domain>> {
        match &*self.phase.lock() {
            Phase::Loading(domain)
            | Phase::Running(domain)
            | Phase::Failed(domain)
            | Phase::Stopping(domain)
            | Phase::Recovering { dead: domain, .. } => Some(domain.clone()),
            Phase::Gone => None,
        }
    }

    /// The state's name for users.
    pub(crate) fn state(&self) -> &'static str {
        match &*self.phase.lock() {
            Phase::Loading(_) => "loading",
            Phase::Running(_) => "running",
            Phase::Recovering { .. } => "recovering",
            Phase::Failed(_) => "failed",
            Phase::Stopping(_) | Phase::Gone => "stopping",
        }
    }

    /// Whether a next domain is being made. Any context but hard interrupts.
    pub(crate) fn recovers(&self) -> bool {
        matches!(&*self.phase.lock(), Phase::Recovering { .. })
    }

    /// Whether what a dead domain leaves is for a next one.
    pub(crate) fn keeps(&self) -> bool {
        matches!(
            &*self.phase.lock(),
            Phase::Recovering { .. } | Phase::Failed(_)
        )
    }

    /// `domain` has died. Returns whether this is the beginning of a recovery.
    pub(crate) fn note_death(&self, domain: &Arc<Domain>, requested: bool) -> bool {
        let mut phase = self.phase.lock();
        match &*phase {
            Phase::Running(running) if Arc::ptr_eq(running, domain) => {
                // The domain itself is held by the caller, so nothing is freed under the lock.
                let dead = domain.clone();
                *phase = Phase::Recovering { dead, requested };
                self.died.store(cpu::now(), Ordering::Relaxed);
                true
            }
            _ => false,
        }
    }

    /// Keeps the cause for `last_fault`.
    pub(crate) fn note_fault(&self, death: &Death) {
        *self.fault.lock() = Some(Fault {
            rule: death.rule,
            upcall: death.upcall,
            import: death.import,
            value: death.value,
        });
    }

    /// The cause of the last death that nobody asked for.
    pub(crate) fn fault(&self) -> Option<Fault> {
        *self.fault.lock()
    }

    /// What to do now that the domain is dead.
    pub(crate) fn decide(&self) -> Decision {
        let policy = self.policy();
        self.history.lock().death(cpu::now() / 1_000_000, &policy)
    }

    /// Whether the recovery in progress was asked for; asks once.
    pub(crate) fn take_request(&self) -> bool {
        match &mut *self.phase.lock() {
            Phase::Recovering { requested, .. } => core::mem::take(requested),
            _ => false,
        }
    }

    /// From loading or recovering to running in `domain`, which was made of `source`. False: the domain
    /// is dead already, or the driver is being unloaded.
    pub(crate) fn run(&self, domain: &Arc<Domain>, source: Arc<Source>) -> bool {
        let mut phase = self.phase.lock();
        // Under the lock: a death that comes later finds the driver running.
        if domain.is_dead() || !matches!(&*phase, Phase::Loading(_) | Phase::Recovering { .. }) {
            return false;
        }
        // Under the lock too, so that who sees the recovery over sees what it brought: to free the
        // domain before takes its time.
        if matches!(&*phase, Phase::Recovering { .. }) {
            self.recoveries.fetch_add(1, Ordering::Relaxed);
        }
        let source = core::mem::replace(&mut *self.source.lock(), source);
        let before = core::mem::replace(&mut *phase, Phase::Running(domain.clone()));
        drop(phase);
        drop((before, source));
        true
    }

    /// A recovery's attempt in `domain` failed; reports are about that one now.
    pub(crate) fn attempt_failed(&self, domain: &Arc<Domain>) {
        self.attempts_failed.fetch_add(1, Ordering::Relaxed);
        let mut phase = self.phase.lock();
        if matches!(&*phase, Phase::Recovering { .. }) {
            let next = Phase::Recovering {
                dead: domain.clone(),
                requested: false,
            };
            let before = core::mem::replace(&mut *phase, next);
            drop(phase);
            drop(before);
        }
    }

    /// Gives up. False: something else has happened meanwhile.
    pub(crate) fn fail(&self) -> bool {
        let mut phase = self.phase.lock();
        let Phase::Recovering { dead, .. } = &*phase else {
            return false;
        };
        let dead = dead.clone();
        *phase = Phase::Failed(dead);
        true
    }

    /// From failed to recovering, at a user's wish. False: not failed.
    pub(crate) fn revive(&self) -> bool {
        let mut phase = self.phase.lock();
        let Phase::Failed(dead) = &*phase else {
            return false;
        };
        let dead = dead.clone();
        *phase = Phase::Recovering {
            dead,
            requested: true,
        };
        self.died.store(cpu::now(), Ordering::Relaxed);
        true
    }

    /// The unload begins. Returns the present domain; `None` if the driver is gone already.
    pub(crate) fn stop(&self) -> Option<Arc<Domain>> {
        let domain = self.domain()?;
        let before = core::mem::replace(&mut *self.phase.lock(), Phase::Stopping(domain.clone()));
        drop(before);
        Some(domain)
    }

    /// The unload is over.
    pub(crate) fn gone(&self) {
        let before = core::mem::replace(&mut *self.phase.lock(), Phase::Gone);
        drop(before);
        let next = self.next.lock().take();
        drop(next);
    }

    /// Whether an unload has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        matches!(&*self.phase.lock(), Phase::Stopping(_) | Phase::Gone)
    }

    /// Notes the end of a recovery.
    pub(crate) fn note_outage(&self) -> u64 {
        let outage = cpu::now().saturating_sub(self.died.load(Ordering::Relaxed));
        self.outage.store(outage, Ordering::Relaxed);
        outage
    }

    /// File and parameters.
    pub(crate) fn source(&self) -> Arc<Source> {
        self.source.lock().clone()
    }

    /// Names a domain that the next recovery tries first.
    pub(crate) fn set_next(&self, next: Option<(Arc<Domain>, Arc<Source>)>) {
        let before = core::mem::replace(&mut *self.next.lock(), next);
        drop(before);
    }

    /// Takes the domain that is to be tried first.
    pub(crate) fn take_next(&self) -> Option<(Arc<Domain>, Arc<Source>)> {
        self.next.lock().take()
    }

    /// The file of the domain that is to be tried first.
    pub(crate) fn next_source(&self) -> Option<Arc<Source>> {
        self.next.lock().as_ref().map(|(_, source)| source.clone())
    }

    /// The restart policy.
    pub(crate) fn policy(&self) -> Policy {
        *self.policy.lock()
    }

    /// Sets the restart policy.
    pub(crate) fn set_policy(&self, policy: Policy) {
        *self.policy.lock() = policy;
    }

    /// The watchdogs' bounds.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.lock()
    }

    /// Sets the watchdogs' bounds.
    pub(crate) fn set_limits(&self, limits: Limits) {
        let mut place = self.limits.lock();
        *place = limits;
        self.irqs.store(limits.irqs, Ordering::Relaxed);
    }

    /// How many interrupts a second one number may have.
    pub(crate) fn irqs(&self) -> u64 {
        self.irqs.load(Ordering::Relaxed)
    }

    /// Forgets earlier deaths: a user asked for a new start.
    pub(crate) fn forget_deaths(&self) {
        self.history.lock().forget();
    }

    /// Deaths in the policy's window.
    pub(crate) fn recent_deaths(&self) -> usize {
        let policy = self.policy();
        self.history.lock().recent(cpu::now() / 1_000_000, &policy)
    }
}
