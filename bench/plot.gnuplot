# Draws `data` (name, CPU µs per message, thousands of messages a second) into `picture`; see suite/plot.py.
set terminal svg size 960,420 font "sans-serif,13" background "white"
set output picture
set multiplot layout 1,2
set style fill solid 0.85 noborder
set boxwidth 0.7
set xtics rotate by -35 left nomirror scale 0
set border 1
unset ytics
unset key
set bmargin 9
set rmargin 10
set offsets 0.5, 0.5, graph 0.08, 0
colour(name) = name eq "Whippet" ? 0x2f7d4f : 0x8a94a0

set title "CPU per message, µs (log scale): less is better"
set logscale y
set yrange [0.1:*]
plot data using 0:2:(colour(strcol(1))):xticlabels(1) with boxes linecolor rgb variable, \
     data using 0:2:(sprintf("%.3g", $2)) with labels offset 0,0.7

set title "thousand messages a second: more is better"
unset logscale y
set yrange [0:*]
plot data using 0:3:(colour(strcol(1))):xticlabels(1) with boxes linecolor rgb variable, \
     data using 0:3:(sprintf("%.0f", $3)) with labels offset 0,0.7
