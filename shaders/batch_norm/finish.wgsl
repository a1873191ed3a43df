// The second passes of batch norm: combine what the chunks of rows have left, per channel, in a fixed order.
//
// finish_stats   (mean, m2) of the chunks, each of n rows, by Chan et al. 1979 → stats = [μ, 1/√(σ²+ε)], and the running mean
//                and (unbiased) variance:   mean += d · nₖ / n,   m2 += m2ₖ + d² · (n − nₖ) · nₖ / n,   d = meanₖ − mean
// finish_grads   dβ (+)= Σ dz, dγ (+)= Σ dz·x̂; the four coefficients of dx, and β for the mask
//
// STRANDS = 1: one invocation, one channel, all chunks in order: no barrier.
// STRANDS > 1: a workgroup of 256 owns ACROSS = 256 / STRANDS channels, neighbouring lanes neighbouring channels; strand s of a
// channel takes the chunks s, s + STRANDS, …, and a tree in workgroup memory combines the strands.
// Memory: parts is read once; 3 KiB of workgroup memory for the statistics, 2 for the gradients.

#import shared/index

#define STRANDS 1

#if STRANDS > 1
#define WIDTH 256
#else
#define WIDTH 64
#endif
#define ACROSS WIDTH / STRANDS

struct Finish { rows: u32, channels: u32, chunk: u32, chunks: u32, eps: f32, momentum: f32 }

@group(0) @binding(0) var<uniform> f: Finish;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;
@group(0) @binding(3) var<storage, read_write> running: array<f32>;

// The rows seen, their mean and their squared deviations from it.
struct Seen { n: f32, mean: f32, m2: f32 }

// Nothing joined to nothing is nothing.
fn joined(a: Seen, b: Seen) -> Seen {
    let n = a.n + b.n;
    let share = b.n / max(n, 1.0);
    let d = b.mean - a.mean;
    return Seen(n, a.mean + d * share, a.m2 + b.m2 + d * d * (a.n * share));
}

#if STRANDS > 1
var<workgroup> seen: array<Seen, 256>;
#endif

@compute @workgroup_size(${WIDTH})
fn finish_stats(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = folded_index(wid, groups, lane % ${ACROSS}u, ${ACROSS}u);
    let strand = lane / ${ACROSS}u;
    var own = Seen(0.0, 0.0, 0.0);
    // Lanes beyond the last channel see nothing, and meet the barriers.
    let chunks = select(0u, f.chunks, c < f.channels);
    for (var k = strand; k < chunks; k += ${STRANDS}u) {
        let n = f32(min((k + 1u) * f.chunk, f.rows) - k * f.chunk);
        own = joined(own, Seen(n, parts[k * 2u * f.channels + c], parts[(k * 2u + 1u) * f.channels + c]));
    }
#if STRANDS > 1
    seen[lane] = own;
    for (var half = ${STRANDS / 2}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if strand < half {
            own = joined(own, seen[lane + half * ${ACROSS}u]);
            seen[lane] = own;
        }
    }
#endif
    if c < f.channels && strand == 0u {
        let variance = max(own.m2 / own.n, 0.0);
        stats[c] = own.mean;
        stats[f.channels + c] = 1.0 / sqrt(variance + f.eps);
        let unbiased = own.m2 / max(own.n - 1.0, 1.0);
        running[c] = mix(running[c], own.mean, f.momentum);
        running[f.channels + c] = mix(running[f.channels + c], unbiased, f.momentum);
    }
}

struct FinishGrads { rows: u32, channels: u32, chunks: u32, training: u32, accumulate_gamma: u32, accumulate_beta: u32 }

@group(0) @binding(0) var<uniform> g: FinishGrads;
@group(0) @binding(2) var<storage, read> stats_in: array<f32>;
@group(0) @binding(3) var<storage, read> gamma_in: array<f32>;
@group(0) @binding(4) var<storage, read_write> coefficients: array<f32>;
@group(0) @binding(5) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(7) var<storage, read> beta_in: array<f32>;

#if STRANDS > 1
var<workgroup> added: array<vec2<f32>, 256>;
#endif

@compute @workgroup_size(${WIDTH})
fn finish_grads(
    @builtin(workgroup_id) wid: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c = folded_index(wid, groups, lane % ${ACROSS}u, ${ACROSS}u);
    let strand = lane / ${ACROSS}u;
    // Σ dz and Σ dz·x̂.
    var own = vec2<f32>(0.0);
    let chunks = select(0u, g.chunks, c < g.channels);
    for (var k = strand; k < chunks; k += ${STRANDS}u) {
        own += vec2<f32>(parts[k * 2u * g.channels + c], parts[(k * 2u + 1u) * g.channels + c]);
    }
#if STRANDS > 1
    added[lane] = own;
    for (var half = ${STRANDS / 2}u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if strand < half {
            own += added[lane + half * ${ACROSS}u];
            added[lane] = own;
        }
    }
#endif
    if c < g.channels && strand == 0u {
        dgamma[c] = own.y + select(0.0, dgamma[c], g.accumulate_gamma != 0u);
        dbeta[c] = own.x + select(0.0, dbeta[c], g.accumulate_beta != 0u);
        let rstd = stats_in[g.channels + c];
        let a = gamma_in[c] * rstd;
        let n = f32(g.rows);
        let training = f32(g.training);
        coefficients[c] = a;
        coefficients[g.channels + c] = -training * a * rstd * own.y / n;
        coefficients[2u * g.channels + c] = -training * a * own.x / n;
        coefficients[3u * g.channels + c] = stats_in[c];
        coefficients[4u * g.channels + c] = beta_in[c];
    }
}
