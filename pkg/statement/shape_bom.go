package statement

import (
	"fmt"

	"github.com/modseal/modseal/pkg/internal/lazyregexp"
)

var (
	cycloneDXVersion = lazyregexp.New(`^1\.[2-7]$`)
	serialNumber     = lazyregexp.New(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	anyHash          = lazyregexp.New(`^([a-fA-F0-9]{32}|[a-fA-F0-9]{40}|[a-fA-F0-9]{64}|[a-fA-F0-9]{96}|[a-fA-F0-9]{128})$`)
)

// cycloneDX is what readers of an SBOM rely on, of the JSON schemas of CycloneDX 1.2
// to 1.7 (https://github.com/CycloneDX/specification/tree/master/schema).
var cycloneDX = object(
	need("bomFormat", oneOf("CycloneDX")),
	need("specVersion", form(cycloneDXVersion, "a version of CycloneDX in JSON, 1.2 to 1.7")),
	may("version", count),
	may("serialNumber", form(serialNumber, "a URN of a UUID")),
	may("metadata", object(may("timestamp", timestamp), may("component", cycloneDXComponent))),
	may("components", list(cycloneDXComponent)),
	may("services", list(object(need("name", text)))),
	may("dependencies", list(object(need("ref", text), may("dependsOn", list(text))))),
)

// cycloneDXComponent is a function, since components hold components.
func cycloneDXComponent(v any, path string) error {
	return object(
		need("type", oneOf("application", "framework", "library", "container", "platform", "operating-system", "device",
			"device-driver", "firmware", "file", "machine-learning-model", "data", "cryptographic-asset")),
		need("name", text),
		may("hashes", list(object(need("alg", cycloneDXHash), need("content", form(anyHash, "a digest in hexadecimal"))))),
		may("components", list(cycloneDXComponent)),
		may("modelCard", modelCard),
	)(v, path)
}

// cycloneDXHash is the type hash-alg.
var cycloneDXHash = oneOf("MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512", "SHA3-256", "SHA3-384", "SHA3-512",
	"BLAKE2b-256", "BLAKE2b-384", "BLAKE2b-512", "BLAKE3", "Streebog-256", "Streebog-512")

// checkCycloneDX also demands that no two things have one bom-ref: dependencies
// would mean either.
func checkCycloneDX(predicate []byte) error {
	doc, err := decodeAny(predicate)
	if err != nil {
		return err
	}
	if err := cycloneDX(doc, ""); err != nil {
		return err
	}
	seen := map[string]string{}
	var visit func(v any, path string) error
	visit = func(v any, path string) error {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["bom-ref"].(string); ok {
				if other, twice := seen[ref]; twice {
					return invalid("%s.bom-ref %q is that of %s, too", place(path), shorten(ref), place(other))
				}
				seen[ref] = path
			}
			for _, key := range []string{"metadata", "component", "components", "services"} {
				if err := visit(v[key], join(path, key)); err != nil {
					return err
				}
			}
		case []any:
			for i, e := range v {
				if err := visit(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return visit(doc, "")
}

// modelCard is the modelCard of CycloneDX
// (https://cyclonedx.org/docs/1.6/json/#components_items_modelCard).
var modelCard = all(
	object(
		may("modelParameters", object(
			may("approach", object(may("type", oneOf("supervised", "unsupervised", "reinforcement-learning", "semi-supervised", "self-supervised")))),
			may("task", text), may("architectureFamily", text), may("modelArchitecture", text),
			may("datasets", list(object())),
			may("inputs", list(object())), may("outputs", list(object())),
		)),
		may("quantitativeAnalysis", object(may("performanceMetrics", list(object(may("type", text), may("value", text)))))),
		may("considerations", object(
			may("users", list(text)), may("useCases", list(text)), may("technicalLimitations", list(text)),
			may("performanceTradeoffs", list(text)),
			may("ethicalConsiderations", list(object(may("name", text)))),
			may("fairnessAssessments", list(object())),
		)),
		may("properties", list(object(need("name", text)))),
	),
	either("modelParameters", "quantitativeAnalysis", "considerations", "properties"),
)
