// Body of a tiled product: adds the BK terms in `tile` to the sums s{row}_{piece} of the invocation (tx, ty).
// Memory: (TM + TN) / 4 vec4 of workgroup memory for TM · TN multiply-adds.
#for k in 0..BK
#for i in 0..TM / 4
            let a${k}_${i} = tile[${k * PITCH_A + i * LINES}u + ty];
#endfor
#for j in 0..TN / 4
            let b${k}_${j} = tile[${B_START + k * PITCH_B + j * ACROSS}u + tx];
#endfor
#for r in 0..TM
#for j in 0..TN / 4
            s${r}_${j} = fma(vec4<f32>(a${k}_${r / 4}[${r % 4}]), b${k}_${j}, s${r}_${j});
#endfor
#endfor
#endfor
