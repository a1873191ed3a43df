// One step of a tile's product: adds the BK terms in `tile` to the sums s{row}_{piece} of the invocation (tx, ty).
// Included in the body of the kernels that load tiles. Memory: reads of workgroup memory alone.
#for k in 0..BK / 4
#for j in 0..TN / 4
#if B_TERMS
#for q in 0..4
        let d${k}_${j}_${q} = tile[${B_START + (q * (BN / 4) + j * ACROSS) * PITCH_B + k}u + tx * ${PITCH_B}u];
#endfor
#for e in 0..4
        let b${k}_${j}_${e} = vec4<f32>(
            d${k}_${j}_0[${e}], d${k}_${j}_1[${e}], d${k}_${j}_2[${e}], d${k}_${j}_3[${e}]);
#endfor
#else
#for e in 0..4
        let b${k}_${j}_${e} = tile[${B_START + (4 * k + e) * PITCH_B + j * ACROSS}u + tx];
#endfor
#endif
#endfor
#if A_TERMS
#for r in 0..TM
        let a${k}_${r} = tile[${r * LINES * PITCH_A + k}u + ty * ${PITCH_A}u];
#for e in 0..4
#for j in 0..TN / 4
        s${r}_${j} = fma(vec4<f32>(a${k}_${r}[${e}]), b${k}_${j}_${e}, s${r}_${j});
#endfor
#endfor
#endfor
#else
#for e in 0..4
#for i in 0..TM / 4
        let a${k}_${e}_${i} = tile[${(4 * k + e) * PITCH_A + i * LINES}u + ty];
#for q in 0..4
#for j in 0..TN / 4
        s${4 * i + q}_${j} = fma(vec4<f32>(a${k}_${e}_${i}[${q}]), b${k}_${j}_${e}, s${4 * i + q}_${j});
#endfor
#endfor
#endfor
#endfor
#endif
#endfor
