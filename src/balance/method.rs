//! What all balancing methods have in common: what they see, what they give, and the table's row.

use std::collections::BTreeMap;

use super::gramian::Gramian;
use crate::{Error, Result};

/// What must be known of a step before its weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The tasks' losses.
    Losses,
    /// Those, and the products of the tasks' gradients.
    Gramian,
}

/// A step as a method sees it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The number of the step, from 0: what is drawn hangs on it.
    pub step: u64,
    /// The tasks' losses; empty where the method does not need them.
    pub losses: &'a [f64],
    /// The products of the gradients of those losses, where the method needs them.
    pub gramian: Option<&'a Gramian>,
}

impl<'a> Seen<'a> {
    /// The Gramian.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is missing.
    pub fn gramian(&self) -> Result<&'a Gramian> {
        self.gramian.ok_or_else(|| Error::Invalid("this balancing method needs the Gramian of the gradients".into()))
    }

    /// Whether a task has no part in this step: its loss is 0 and pulls at nothing, as where a batch has no labels of it, or where its
    /// weight is 0. Such a task must not change how the others are weighted.
    pub fn absent(&self, task: usize) -> bool {
        self.losses.get(task) == Some(&0.0) && self.gramian.is_none_or(|g| g.norm(task) == 0.0)
    }

    /// The tasks that have a part in this step, of so many.
    pub(super) fn present(&self, tasks: usize) -> Vec<usize> {
        (0..tasks).filter(|k| !self.absent(*k)).collect()
    }

    /// The losses, all above 0, for methods that take their logarithm. A loss of 0 counts as 1e-8.
    ///
    /// # Errors
    /// [`Error::Invalid`] where one is negative; it names the task.
    pub fn positive(&self) -> Result<Vec<f64>> {
        match self.losses.iter().position(|l| *l < 0.0) {
            None => Ok(self.losses.iter().map(|l| l.max(1e-8)).collect()),
            Some(k) => Err(Error::Invalid(format!(
                "the loss of task {k} is {}, but this balancing method takes the logarithm of losses; choose another method, or \
                 losses above 0",
                self.losses[k]
            ))),
        }
    }
}

/// A method with its state, for a number of tasks.
pub trait Balance {
    /// The weights of this step's tasks: the step descends along `Σ_k w_k ∇L_k`.
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>>;

    /// The losses of the same batch after the update; called where [`Method::after`] says so.
    fn after(&mut self, _losses: &[f64]) {}

    /// An epoch is over, in which these were the tasks' mean losses.
    fn end_epoch(&mut self, _means: &[f64]) {}

    /// Everything a resumed run needs; of the same length always.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Goes on from what [`Balance::state`] gave; of its length, which the caller has checked.
    fn restore(&mut self, _state: &[f64]) {}
}

/// A method without a state: a function of the step.
pub(super) struct Plain<F>(pub F);

impl<F: Fn(&Seen) -> Result<Vec<f64>>> Balance for Plain<F> {
    fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        let (tasks, present) = (seen.losses.len(), seen.present(seen.losses.len()));
        if present.len() == tasks {
            return (self.0)(seen);
        }
        if present.is_empty() {
            return Ok(vec![1.0; tasks]);
        }
        let losses: Vec<f64> = present.iter().map(|k| seen.losses[*k]).collect();
        let gramian = seen.gramian.map(|g| g.of_tasks(&present));
        let weights = (self.0)(&Seen { step: seen.step, losses: &losses, gramian: gramian.as_ref() })?;
        Ok(spread(&weights, &present, tasks))
    }
}

/// The weights of those that are `present`, among all tasks; what the others have does not matter, so it is the mean size, which leaves
/// that as it is.
pub(super) fn spread(weights: &[f64], present: &[usize], tasks: usize) -> Vec<f64> {
    let size = weights.iter().map(|w| w.abs()).sum::<f64>() / weights.len().max(1) as f64;
    let mut all = vec![size; tasks];
    present.iter().zip(weights).for_each(|(k, w)| all[*k] = *w);
    all
}

/// The weights that `of` gives to the tasks whose gradients do not vanish, for methods that need a direction of each: one that vanishes
/// has none. All alike where they all do.
pub(super) fn moving(gramian: &Gramian, of: impl Fn(&Gramian) -> Vec<f64>) -> Vec<f64> {
    let (tasks, moving) = (gramian.tasks(), gramian.moving());
    match moving.len() {
        0 => vec![1.0 / tasks as f64; tasks],
        n if n == tasks => of(gramian),
        _ => spread(&of(&gramian.of_tasks(&moving)), &moving, tasks),
    }
}

/// What a method is made from.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The number of tasks.
    pub tasks: usize,
    /// Seed of what it draws.
    pub seed: u64,
    /// Its settings by their keys; the defaults where absent.
    pub settings: &'a BTreeMap<String, f64>,
    /// The method.
    method: &'a Method,
}

impl Setup<'_> {
    /// A setting.
    pub(super) fn number(&self, key: &str) -> f64 {
        let default = self.method.keys.iter().find(|k| k.name == key).map_or(0.0, |k| k.default);
        self.settings.get(key).copied().unwrap_or(default)
    }
}

/// A setting of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its published default.
    pub default: f64,
    /// The least and the largest value it may have.
    pub range: (f64, f64),
}

/// A row of the table of methods.
pub struct Method {
    /// Its name in a run's file.
    pub name: &'static str,
    /// What it must know.
    pub needs: Needs,
    /// Whether the weights are for a task's own head too: methods that weight losses; those that combine gradients of what is
    /// shared leave the heads alone.
    pub heads: bool,
    /// Whether it wants the losses after the update: another forward pass.
    pub after: bool,
    /// Its settings.
    pub keys: &'static [Key],
    /// Makes it.
    pub make: fn(&Setup) -> Box<dyn Balance>,
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name)
    }
}

/// A method at work: what it is given and what it gives is checked.
pub struct Balancer {
    method: &'static Method,
    inner: Box<dyn Balance>,
    tasks: usize,
}

impl Balancer {
    /// `method` for `tasks` tasks, with these settings and the defaults of the others.
    ///
    /// # Errors
    /// [`Error::Invalid`] without tasks, and for a setting that the method has not or that is out of its range.
    pub fn new(method: &'static Method, settings: &BTreeMap<String, f64>, tasks: usize, seed: u64) -> Result<Self> {
        if tasks == 0 {
            return Err(Error::Invalid("there is no task to balance".into()));
        }
        for (name, value) in settings {
            let key = method.keys.iter().find(|k| k.name == name);
            let fits = key.is_some_and(|k| *value >= k.range.0 && *value <= k.range.1);
            if !fits {
                return Err(Error::Invalid(format!("{} with {name} = {value}", method.name)));
            }
        }
        let inner = (method.make)(&Setup { tasks, seed, settings, method });
        Ok(Balancer { method, inner, tasks })
    }

    /// The method.
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// The weights of this step's tasks.
    ///
    /// # Errors
    /// [`Error::Invalid`] for losses that are not finite (which names the task), of the wrong number, or that the method cannot
    /// work with.
    pub fn weights(&mut self, seen: &Seen) -> Result<Vec<f64>> {
        if self.method.needs != Needs::Nothing {
            self.check(seen.losses)?;
        }
        if self.method.needs == Needs::Gramian && seen.gramian()?.tasks() != self.tasks {
            return Err(Error::Invalid(format!("a Gramian of {} tasks for {}", seen.gramian()?.tasks(), self.tasks)));
        }
        let weights = self.inner.weights(seen)?;
        match weights.iter().position(|w| !w.is_finite()) {
            None => Ok(weights),
            Some(k) => Err(Error::Invalid(format!("{} gives task {k} the weight {}", self.method.name, weights[k]))),
        }
    }

    fn check(&self, losses: &[f64]) -> Result<()> {
        if losses.len() != self.tasks {
            return Err(Error::Invalid(format!("{} losses for {} tasks", losses.len(), self.tasks)));
        }
        match losses.iter().position(|l| !l.is_finite()) {
            None => Ok(()),
            Some(k) => Err(Error::Invalid(format!("the loss of task {k} is {}", losses[k]))),
        }
    }

    /// The losses of the same batch after the update, where [`Method::after`] asks for them.
    ///
    /// # Errors
    /// As [`Balancer::weights`].
    pub fn after(&mut self, losses: &[f64]) -> Result<()> {
        self.check(losses)?;
        self.inner.after(losses);
        Ok(())
    }

    /// An epoch is over, in which these were the tasks' mean losses.
    ///
    /// # Errors
    /// As [`Balancer::weights`].
    pub fn end_epoch(&mut self, means: &[f64]) -> Result<()> {
        self.check(means)?;
        self.inner.end_epoch(means);
        Ok(())
    }

    /// Everything a resumed run needs.
    pub fn state(&self) -> Vec<f64> {
        self.inner.state()
    }

    /// Goes on from what [`Balancer::state`] gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is another method's.
    pub fn restore(&mut self, state: &[f64]) -> Result<()> {
        let (found, expected) = (state.len(), self.inner.state().len());
        if found != expected {
            return Err(Error::Invalid(format!(
                "a state of {found} numbers for {}, which has {expected}",
                self.method.name
            )));
        }
        self.inner.restore(state);
        Ok(())
    }
}
