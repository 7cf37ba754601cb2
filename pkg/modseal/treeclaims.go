package modseal

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/modelfile/hf"
	"github.com/modseal/modseal/pkg/provenance"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/verify"
)

// claimed reads out of a bundle what it says that it is, without believing it.
func (n *TreeNode) claimed(bundle []byte) error {
	payload := claimedPayload(bundle)
	if payload == nil {
		return notABundle(bundle)
	}
	s, err := statement.Parse(payload)
	if err != nil {
		return err
	}
	n.PredicateType, n.Claim = s.PredicateType, ClaimName(s.PredicateType)
	n.Says = sayClaim(s.PredicateType, s.Predicate)
	if claim, err := verify.ReadClaim(bundle); err == nil {
		n.ClaimedBy = claimant(claim)
	}
	if n.PredicateType == artifacttypes.PredicateVSA {
		n.Summary, err = verify.ReadSummary(payload)
	}
	return err
}

// notABundle says why a bundle has no statement; nil for one that signs something
// else.
func notABundle(bundle []byte) error {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(bundle, &doc); err != nil {
		return fmt.Errorf("no bundle: %w", err)
	}
	return nil
}

// claimant names who a bundle says has signed it; empty when it does not say.
func claimant(c verify.Claim) string {
	switch {
	case c.Identity != "" && c.Issuer != "":
		return c.Identity + ", vouched for by " + c.Issuer
	case c.Identity != "":
		return c.Identity
	case c.Fingerprint != "":
		return "key " + c.Fingerprint.String()
	}
	return ""
}

// plain names a referrer that is a bill of materials as it is.
func (n *TreeNode) plain() {
	switch mediaType, _, _ := strings.Cut(n.ArtifactType, ";"); strings.TrimSpace(mediaType) {
	case artifacttypes.MediaTypeCycloneDX:
		n.Claim = claimNames[artifacttypes.PredicateCycloneDX]
	case artifacttypes.MediaTypeSPDX:
		n.Claim = claimNames[artifacttypes.PredicateSPDX]
	}
	n.Unsigned = n.Claim != ""
}

// claimNames are what people call claims of a predicate type.
var claimNames = map[string]string{
	artifacttypes.PredicateCosignSign:        "signature",
	artifacttypes.PredicateSLSAProvenanceV1:  "SLSA provenance",
	artifacttypes.PredicateSLSAProvenanceV02: "SLSA provenance",
	artifacttypes.PredicateVSA:               "verification summary",
	artifacttypes.PredicateCycloneDX:         "CycloneDX SBOM",
	artifacttypes.PredicateSPDX:              "SPDX SBOM",
	artifacttypes.PredicateSPDX3:             "SPDX 3 SBOM",
	artifacttypes.PredicateVuln:              "vulnerability scan",
	artifacttypes.PredicateOpenVEX:           "OpenVEX statement",
	artifacttypes.PredicateLink:              "in-toto link",
	artifacttypes.PredicateCustom:            "custom attestation",
	artifacttypes.PredicateScan:              "model scan",
	artifacttypes.PredicateModelCard:         "model card",
}

// ClaimName returns what people call a claim of the predicate type.
func ClaimName(predicateType string) string {
	if name, ok := claimNames[predicateType]; ok {
		return name
	}
	if strings.HasPrefix(predicateType, artifacttypes.PredicateOMSFamily) {
		return "OMS signature of the files"
	}
	return "attestation"
}

const (
	// maxSaid bounds each text of a line about a claim.
	maxSaid = 256
	// maxSaidPredicate bounds the predicate that a line is made of: each byte of one
	// may take ten while it is decoded.
	maxSaidPredicate = 4 << 20
)

// sayClaim puts into one line what a predicate says; empty where nobody knows how.
// Predicates of strangers are decoded into maps, whose keys have a letter case.
func sayClaim(predicateType string, predicate json.RawMessage) string {
	line := claimLines[predicateType]
	if line == nil || len(predicate) > maxSaidPredicate {
		return ""
	}
	var doc claimDocument
	if json.Unmarshal(predicate, &doc) != nil {
		return ""
	}
	return line(doc)
}

var claimLines = map[string]func(claimDocument) string{
	artifacttypes.PredicateSLSAProvenanceV1:  sayProvenance,
	artifacttypes.PredicateSLSAProvenanceV02: sayProvenance02,
	artifacttypes.PredicateCycloneDX: func(d claimDocument) string {
		return "CycloneDX " + d.text("specVersion") + andCount(d.list("components"), "component")
	},
	artifacttypes.PredicateSPDX:  saySPDX,
	artifacttypes.PredicateSPDX3: saySPDX,
	artifacttypes.PredicateScan: func(d claimDocument) string {
		text := "verdict " + d.text("result", "verdict") + andCount(d.list("files"), "file") + andCount(d.list("findings"), "finding")
		if passed := andCount(d.list("allowed"), "global"); passed != "" {
			text += passed + " let pass" // a clean verdict says less then
		}
		return text
	},
	artifacttypes.PredicateOpenVEX: func(d claimDocument) string {
		return "by " + d.text("author") + andCount(d.list("statements"), "statement")
	},
}

// sayProvenance names who built it, and the first source and base model.
func sayProvenance(d claimDocument) string {
	var source, base string
	for _, v := range d.list("buildDefinition", "resolvedDependencies") {
		dependency := asClaim(v)
		uri := dependency.text("uri")
		switch {
		case dependency.text("name") == provenance.NameBaseModel:
			if base == "" && uri != "" {
				base = ", base model " + uri
			}
		case source == "" && dependency.text("name") != provenance.NameDataset && strings.HasPrefix(uri, "git+"):
			source = " from " + uri
			if commit := dependency.text("digest", "gitCommit"); commit != "" {
				source += " commit " + commit
			}
		}
	}
	return "built by " + d.text("runDetails", "builder", "id") + source + base
}

func sayProvenance02(d claimDocument) string {
	text := "built by " + d.text("builder", "id")
	if source := d.text("invocation", "configSource", "uri"); source != "" {
		text += " from " + source
	}
	return text
}

func saySPDX(d claimDocument) string {
	if version := d.text("spdxVersion"); version != "" {
		return version + andCount(d.list("packages"), "package") + andCount(d.list("files"), "file")
	}
	return "SPDX 3" + andCount(d.list("@graph"), "element")
}

func andCount(list []any, what string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return ", 1 " + what
	}
	return fmt.Sprintf(", %d %ss", len(list), what)
}

// claimDocument is a predicate, or an object in it, of a stranger.
type claimDocument map[string]any

func asClaim(v any) claimDocument {
	o, _ := v.(map[string]any)
	return o
}

func (d claimDocument) at(path []string) any {
	for i, key := range path {
		if i == len(path)-1 {
			return d[key]
		}
		d = asClaim(d[key])
	}
	return nil
}

// text returns the text at path as one line; empty when there is none.
func (d claimDocument) text(path ...string) string {
	s, _ := d.at(path).(string)
	return hf.CleanText(s, maxSaid)
}

func (d claimDocument) list(path ...string) []any {
	list, _ := d.at(path).([]any)
	return list
}
