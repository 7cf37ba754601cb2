package statement

import (
	"encoding/json"
	"math/big"
	"strconv"
)

// severities are those of findings, the worst first.
var severities = []string{"critical", "high", "medium", "low"}

// verdictRank orders the verdicts: that of a model is the worst of its files.
var verdictRank = map[string]int{"clean": 1, "suspicious": 2, "incomplete": 3, "dangerous": 4}

// excludes has the severities of which a verdict says that there are none (docs/scan.md,
// "Verdicts"). Of what was not read to its end it says so with high ones.
var excludes = map[string][]string{
	"clean":      {"critical", "high", "medium"},
	"suspicious": {"critical", "high"},
}

// consistentScan demands of the predicate of a scan that its verdict is no better than
// what it counts, and that it counts what it lists. Conditions of policies look at one
// of these, and a claim that is signed in good faith must not say two things. What is
// missing is not looked at: the shape demands it.
func consistentScan(v any, _ string) error {
	doc, _ := v.(map[string]any)
	result, _ := doc["result"].(map[string]any)
	counts, err := scanCounts(result, doc)
	if err != nil {
		return err
	}
	verdict, _ := result["verdict"].(string)
	for _, severity := range excludes[verdict] {
		if n := counts[severity]; n != nil && n.Sign() > 0 {
			return invalid("result.verdict is %q, and result.%s is %s: a scan with such findings has a worse verdict", verdict, severity, n)
		}
	}
	if err := verdictOfFiles(verdict, doc["files"]); err != nil {
		return err
	}
	return countedFindings(verdict, counts, result["rules"], doc["findings"])
}

// scanCounts are the numbers that are there, by what they count.
func scanCounts(result, doc map[string]any) (map[string]*big.Int, error) {
	counts := map[string]*big.Int{}
	read := func(o map[string]any, key, path string) error {
		v, there := o[key]
		if !there {
			return nil
		}
		if err := amount(v, path+key); err != nil {
			return err
		}
		counts[key], _ = new(big.Int).SetString(v.(json.Number).String(), 10)
		return nil
	}
	for _, severity := range severities {
		if err := read(result, severity, "result."); err != nil {
			return nil, err
		}
	}
	return counts, read(doc, "omitted", "")
}

func verdictOfFiles(verdict string, files any) error {
	list, _ := files.([]any)
	for i, f := range list {
		file, _ := f.(map[string]any)
		if of, _ := file["verdict"].(string); verdictRank[verdict] > 0 && verdictRank[of] > verdictRank[verdict] {
			return invalid("result.verdict is %q, and files[%d].verdict is %q: that of the model is the worst of its files", verdict, i, of)
		}
	}
	return nil
}

// countedFindings compares the findings that are listed with the verdict, and with the
// numbers of them.
func countedFindings(verdict string, counts map[string]*big.Int, rules, findings any) error {
	list, ok := findings.([]any)
	if !ok {
		return nil
	}
	byRule, named := rules.(map[string]any)
	listed := map[string]int64{}
	for i, f := range list {
		finding, _ := f.(map[string]any)
		severity, _ := finding["severity"].(string)
		listed[severity]++
		rule, _ := finding["rule"].(string)
		if _, counted := byRule[rule]; named && !counted {
			return invalid("findings[%d].rule is %s, which result.rules does not count", i, strconv.Quote(shorten(rule)))
		}
	}
	for _, severity := range excludes[verdict] {
		if listed[severity] > 0 {
			return invalid("result.verdict is %q, and findings has %d of severity %s: a scan with such findings has a worse verdict", verdict, listed[severity], severity)
		}
	}
	total, all := new(big.Int), true
	for _, severity := range severities {
		n := counts[severity]
		if n == nil {
			all = false
			continue
		}
		if n.Cmp(big.NewInt(listed[severity])) < 0 {
			return invalid("findings has %d of severity %s, and result.%s is %s", listed[severity], severity, severity, n)
		}
		total.Add(total, n)
	}
	if omitted := counts["omitted"]; omitted != nil && all {
		if told := new(big.Int).Add(omitted, big.NewInt(int64(len(list)))); told.Cmp(total) != 0 {
			return invalid("result counts %s findings, and findings and omitted are %s", total, told)
		}
	}
	return nil
}
