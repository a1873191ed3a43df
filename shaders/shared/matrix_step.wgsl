// One step of a tile's product: adds the BK terms in `tile` to the matrices c{i}_{j} of the subgroup whose rows begin at `down`
// and whose columns at `across`. Included in the body of the kernels that load tiles. Memory: reads of workgroup memory alone.
#for k in 0..BK / EDGE
#for i in 0..FM
#if A_TERMS
        let a${k}_${i} = coopLoadT<MatrixA>(&tile[down * ${PITCH_A}u + ${i * EDGE * PITCH_A + k * EDGE}u], ${PITCH_A}u);
#else
        let a${k}_${i} = coopLoad<MatrixA>(&tile[down + ${k * EDGE * PITCH_A + i * EDGE}u], ${PITCH_A}u);
#endif
#endfor
#for j in 0..FN
#if B_TERMS
        let b${k}_${j} =
            coopLoad<MatrixB>(&tile[across * ${PITCH_B}u + ${B_START + j * EDGE * PITCH_B + k * EDGE}u], ${PITCH_B}u);
#else
        let b${k}_${j} = coopLoadT<MatrixB>(&tile[across + ${B_START + k * EDGE * PITCH_B + j * EDGE}u], ${PITCH_B}u);
#endif
#for i in 0..FM
        c${i}_${j} = coopMultiplyAdd(a${k}_${i}, b${k}_${j}, c${i}_${j});
#endfor
#endfor
#endfor
