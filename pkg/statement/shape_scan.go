package statement

import (
	"encoding/json"
	"math/big"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

var hexSHA256 = lazyregexp.New(`^[0-9a-f]{64}$`)

// scanVerdict are what a scan comes to, see docs/scan.md.
var scanVerdict = oneOf("clean", "suspicious", "incomplete", "dangerous")

// scan is the predicate of docs/scan.md. All that its conditions name is demanded: one
// that finds nothing there must not be taken for one that found no harm.
var scan = all(object(
	need("scanner", object(
		need("name", text),
		may("version", text),
		need("rules", object(need("sha256", form(hexSHA256, "a SHA-256 in hexadecimal")))),
	)),
	may("allowed", list(text)),
	need("result", object(
		need("verdict", scanVerdict),
		need("critical", amount), need("high", amount), need("medium", amount), need("low", amount),
		need("rules", entries(amount)),
	)),
	need("files", some(object(
		need("path", text),
		need("size", amount),
		need("digest", object(need("sha256", form(hexSHA256, "a SHA-256 in hexadecimal")))),
		may("format", text),
		need("verdict", scanVerdict),
	))),
	need("findings", list(object(
		need("rule", text),
		need("severity", oneOf("low", "medium", "high", "critical")),
		need("path", text),
		need("message", text),
	))),
	need("omitted", amount),
), consistentScan)

// amount demands a whole number from 0.
func amount(v any, path string) error {
	number, _ := v.(json.Number)
	if n, ok := new(big.Int).SetString(number.String(), 10); !ok || n.Sign() < 0 {
		return invalid("%s %s is no whole number from 0", place(path), shown(v))
	}
	return nil
}
