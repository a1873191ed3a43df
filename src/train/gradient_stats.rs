//! How strongly the terms of a loss pull at the trunk, and how far the tasks agree.

use std::collections::BTreeMap;

use crate::train::terms::LossTerms;

/// How strongly each term pulls, and how far the tasks agree, at one step.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct GradientStats {
    /// The norm of each term's weighted gradient at the trunk's output.
    pub norms: BTreeMap<String, f64>,
    /// The cosine between the tasks' gradients there, all terms of a task together; 0 where one vanishes.
    pub cosines: Vec<Vec<f64>>,
}

impl GradientStats {
    /// From the products of the terms' gradients.
    pub(crate) fn of(loss_terms: &LossTerms, products: &[f64]) -> Self {
        let terms = loss_terms.terms();
        let norm = |i: usize| products[i * (terms.len() + 1)].max(0.0).sqrt();
        let names = loss_terms.names().iter().enumerate();
        let norms = names.map(|(i, name)| (name.clone(), norm(i))).collect();
        let tasks = terms.iter().map(|t| t.task + 1).max().unwrap_or(0);
        let mut between = vec![vec![0.0; tasks]; tasks];
        for (i, a) in terms.iter().enumerate() {
            for (j, b) in terms.iter().enumerate() {
                between[a.task][b.task] += products[i * terms.len() + j];
            }
        }
        let cosine = |a: usize, b: usize| {
            let size = (between[a][a].max(0.0) * between[b][b].max(0.0)).sqrt();
            if size > 0.0 { (between[a][b] / size).clamp(-1.0, 1.0) } else { 0.0 }
        };
        let cosines = (0..tasks).map(|a| (0..tasks).map(|b| cosine(a, b)).collect()).collect();
        GradientStats { norms, cosines }
    }
}
