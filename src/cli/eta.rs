//! How long a whole run will still take.

/// Estimates the time left from the stages so far. Every seed runs the same stages, so from the second seed on the estimate
/// rests on measured times; in the first, stages to come are taken for average ones.
#[derive(Debug)]
pub struct Eta {
    per_seed: usize,
    /// Seconds of each whole stage; `None` where it is not measured.
    times: Vec<Option<f64>>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    index: usize,
    started: f64,
    /// Parts of the stage done at the start (after resuming) and now, 0..1.
    from: f64,
    done: f64,
}

impl Eta {
    /// Of a run of `stages` stages over `seeds` seeds.
    pub fn new(stages: usize, seeds: usize) -> Self {
        Eta { per_seed: (stages / seeds.max(1)).max(1), times: vec![None; stages], current: None }
    }

    /// Stage `index` begins at `now` (seconds of any clock) with a part of it done already.
    pub fn begin(&mut self, index: usize, now: f64, from: f64) {
        self.current = Some(Current { index, started: now, from, done: from });
    }

    /// The stage's part that is done.
    pub fn advance(&mut self, done: f64) {
        if let Some(current) = &mut self.current {
            current.done = done;
        }
    }

    /// The stage is over.
    pub fn end(&mut self, now: f64) {
        self.advance(1.0);
        if let Some((index, whole)) = self.current_whole(now)
            && let Some(time) = self.times.get_mut(index)
        {
            *time = Some(whole);
        }
        self.current = None;
    }

    /// Seconds left of the whole run; `None` until something is known.
    pub fn remaining(&self, now: f64) -> Option<f64> {
        let current = self.current.as_ref()?;
        let (index, whole) = self.current_whole(now)?;
        let known = |i: usize| if i == index { Some(whole) } else { self.times.get(i).copied().flatten() };
        let measured: Vec<f64> = (0..=index).filter_map(known).collect();
        let average = measured.iter().sum::<f64>() / measured.len() as f64;
        let alike = |j: usize| (0..=index).rev().filter(|i| i % self.per_seed == j % self.per_seed).find_map(known);
        let later: f64 = (index + 1..self.times.len()).map(|j| alike(j).unwrap_or(average)).sum();
        Some((1.0 - current.done).max(0.0) * whole + later)
    }

    /// The current stage and the seconds it takes from beginning to end.
    fn current_whole(&self, now: f64) -> Option<(usize, f64)> {
        let current = self.current.as_ref()?;
        let part = current.done - current.from;
        (part > 0.0).then(|| (current.index, (now - current.started) / part))
    }
}

/// Seconds for people: `42 s`, `3 min 07 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_seed_is_extrapolated() {
        let mut eta = Eta::new(4, 2);
        assert_eq!(eta.remaining(0.0), None);
        eta.begin(0, 0.0, 0.0);
        assert_eq!(eta.remaining(1.0), None);
        eta.advance(0.25);
        // The stage takes 40 s, of which 30 are left, and so do the three others.
        assert_eq!(eta.remaining(10.0), Some(30.0 + 3.0 * 40.0));
    }

    #[test]
    fn the_second_seed_repeats_the_first() {
        let mut eta = Eta::new(4, 2);
        eta.begin(0, 0.0, 0.0);
        eta.end(10.0);
        eta.begin(1, 10.0, 0.0);
        eta.end(110.0);
        eta.begin(2, 110.0, 0.0);
        eta.advance(0.5);
        // This stage takes 20 s now; the last one took 100 s with the first seed.
        assert_eq!(eta.remaining(120.0), Some(10.0 + 100.0));
    }

    #[test]
    fn finished_and_resumed_stages_do_not_mislead() {
        let mut eta = Eta::new(3, 1);
        // Stage 0 was found finished; stage 1 goes on at three quarters.
        eta.begin(1, 0.0, 0.75);
        eta.advance(0.875);
        assert_eq!(eta.remaining(1.0), Some(1.0 + 8.0));
        eta.end(2.0);
        assert_eq!(eta.times, [None, Some(8.0), None]);
    }

    #[test]
    fn durations_are_for_people() {
        let texts: Vec<String> = [0.2, 59.4, 59.6, 187.0, 7530.0, 360_000.0].iter().map(|s| duration(*s)).collect();
        assert_eq!(texts, ["0 s", "59 s", "1 min 00 s", "3 min 07 s", "2 h 05 min", "100 h 00 min"]);
    }
}
