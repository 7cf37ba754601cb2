package render

import (
	"bufio"
	"io"

	"rsc.io/qr"
)

// QR is a QR code (ISO/IEC 18004).
type QR struct{ code *qr.Code }

// quiet is how many light modules a code needs around it.
const quiet = 4

// NewQR makes the code of a text, with error correction of level M: it is read from
// a print with spots, and from a screen at an angle.
func NewQR(text string) (*QR, error) {
	code, err := qr.Encode(text, qr.M)
	return &QR{code}, err
}

// PNG returns an image of the code, with 8 pixels for a module.
func (q *QR) PNG() []byte { return q.code.PNG() }

// Draw writes the code with two modules in each character: dark on light whatever
// the colours of the terminal are, or without colours, light where the terminal
// has its own foreground.
func (q *QR) Draw(w io.Writer, colours bool) {
	b := bufio.NewWriter(w)
	defer func() { _ = b.Flush() }() // an error shows at the next write to the same place
	for y := -quiet; y < q.code.Size+quiet; y += 2 {
		if colours {
			_, _ = b.WriteString("\x1b[97;40m")
		}
		for x := -quiet; x < q.code.Size+quiet; x++ {
			_, _ = b.WriteRune(halves(q.code.Black(x, y), q.code.Black(x, y+1)))
		}
		if colours {
			_, _ = b.WriteString("\x1b[0m")
		}
		_ = b.WriteByte('\n')
	}
}

// halves is the character whose halves are drawn where a module is light.
func halves(upperDark, lowerDark bool) rune {
	switch {
	case upperDark && lowerDark:
		return ' '
	case upperDark:
		return '▄'
	case lowerDark:
		return '▀'
	}
	return '█'
}
