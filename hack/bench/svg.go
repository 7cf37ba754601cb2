//go:build linux

package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"time"
)

// Measures of the plot, in pixels.
const (
	panelWidth = 460
	nameWidth  = 66
	valueWidth = 62
	barHeight  = 15
	barGap     = 6
	titleSpace = 26
	axisSpace  = 44
	margin     = 16
)

// The colours of both themes are in the picture itself, so that it follows the
// reader's. There is no font in it but what the reader's system has.
const svgStyle = `<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .axis, .small { font-size: 10.5px; fill: #59636e }
.frame { fill: #ffffff } .grid { stroke: #d1d9e0; stroke-width: 1 } .range { stroke: #59636e; stroke-width: 1 }
.value { paint-order: stroke; stroke: #ffffff; stroke-width: 3 }
.peer { fill: #8c959f } .own { fill: #0969da } .floor { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 4 3 } .floorname { font-size: 10.5px; fill: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .axis, .small { fill: #9198a1 } .frame { fill: #0d1117 } .grid { stroke: #3d444d } .range { stroke: #9198a1 } .value { stroke: #0d1117 }
.peer { fill: #656c76 } .own { fill: #4493f8 } .floor { stroke: #f0883e } .floorname { fill: #f0883e }
}
</style>
`

// svg draws one panel for each work: a bar for each tool, its range, and the
// floor as a line through all of them.
func (r *report) svg() string {
	var panels []string
	var heights []int
	for _, w := range r.shown() {
		if panel, height := r.panel(w.work, w.title); panel != "" {
			panels, heights = append(panels, panel), append(heights, height)
		}
	}
	var body strings.Builder
	y := margin
	for i := 0; i < len(panels); i += 2 {
		row := heights[i]
		fmt.Fprintf(&body, "<g transform=\"translate(%d %d)\">\n%s</g>\n", margin, y, panels[i])
		if i+1 < len(panels) {
			row = max(row, heights[i+1])
			fmt.Fprintf(&body, "<g transform=\"translate(%d %d)\">\n%s</g>\n", 2*margin+panelWidth, y, panels[i+1])
		}
		y += row + margin
	}
	width := 3*margin + 2*panelWidth
	var s strings.Builder
	fmt.Fprintf(&s, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\">\n",
		width, y, width, y, "Wall time of modseal and its peers, work by work; less is better")
	s.WriteString(svgStyle)
	fmt.Fprintf(&s, "<rect class=\"frame\" width=\"%d\" height=\"%d\"/>\n", width, y)
	s.WriteString(body.String())
	s.WriteString("</svg>\n")
	return s.String()
}

// panel draws one work and returns its height; "" when modseal has no number.
func (r *report) panel(w work, title string) (string, int) {
	if _, ok := r.figure("modseal", w); !ok {
		return "", 0
	}
	floor, hasFloor := r.figure(floorName, w)
	var longest time.Duration
	type bar struct {
		name string
		figure
	}
	var bars []bar
	for _, t := range r.names() {
		if f, ok := r.figure(t, w); ok && t != floorName {
			bars = append(bars, bar{t, f})
			longest = max(longest, f.most)
		}
	}
	if hasFloor {
		longest = max(longest, floor.wall)
	}
	end, step := axis(longest.Seconds())
	x := func(d float64) float64 { return nameWidth + d/end*(panelWidth-nameWidth-valueWidth) }
	bottom := titleSpace + len(bars)*(barHeight+barGap)
	if hasFloor {
		bottom += 12 // its name
	}

	var s strings.Builder
	fmt.Fprintf(&s, "<text class=\"title\" x=\"0\" y=\"12\">%s</text>\n", escaped(title))
	for tick := 0.0; tick <= end+step/2; tick += step {
		fmt.Fprintf(&s, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x(tick), x(tick), titleSpace-4, bottom)
		fmt.Fprintf(&s, "<text class=\"axis\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x(tick), bottom+14, trimmed(tick))
	}
	fmt.Fprintf(&s, "<text class=\"axis\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">seconds, less is better</text>\n", x(end/2), bottom+29)
	var values strings.Builder // above the line of the floor
	for i, b := range bars {
		y := titleSpace + i*(barHeight+barGap)
		class := "peer"
		if b.name == "modseal" {
			class = "own"
		}
		middle := y + barHeight/2
		fmt.Fprintf(&s, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", nameWidth-8, y+barHeight-3, escaped(b.name))
		fmt.Fprintf(&s, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", class, nameWidth, y, x(b.wall.Seconds())-nameWidth, barHeight)
		fmt.Fprintf(&s, "<line class=\"range\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", x(b.shortest.Seconds()), x(b.most.Seconds()), middle, middle)
		fmt.Fprintf(&values, "<text class=\"small value\" x=\"%.1f\" y=\"%d\">%s</text>\n", x(b.most.Seconds())+5, y+barHeight-3, seconds(b.wall))
	}
	if hasFloor {
		at := x(floor.wall.Seconds())
		fmt.Fprintf(&s, "<line class=\"floor\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", at, at, titleSpace-4, bottom)
		fmt.Fprintf(&s, "<text class=\"floorname\" x=\"%.1f\" y=\"%d\">floor %s</text>\n", at+4, bottom-3, seconds(floor.wall))
	}
	return s.String() + values.String(), bottom + axisSpace - margin/2
}

// axis returns the end and the step of an axis up to longest: a step of 1, 2 or
// 5 times a power of ten, at most six of them.
func axis(longest float64) (end, step float64) {
	if longest <= 0 {
		return 1, 0.5
	}
	step = math.Pow(10, math.Floor(math.Log10(longest/6)))
	for _, factor := range []float64{1, 2, 5, 10} {
		if longest <= step*factor*6 {
			step *= factor
			break
		}
	}
	return math.Ceil(longest/step) * step, step
}

func trimmed(v float64) string { return fmt.Sprintf("%.4g", v) }

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
