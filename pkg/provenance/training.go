package provenance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/modelfile"
)

// A recordKind is a kind of file in which training leaves what it did.
type recordKind struct {
	read func(content []byte, times bool) (map[string]any, error)
}

// recordKinds are by the base name of the file.
var recordKinds = map[string]recordKind{
	// The Trainer of Hugging Face transformers
	// (https://huggingface.co/docs/transformers/main_classes/callback#transformers.TrainerState).
	"trainer_state.json": {readTrainerState},
	// What its example scripts write of metrics.
	"all_results.json":   {readResults},
	"train_results.json": {readResults},
	"eval_results.json":  {readResults},
	// MLflow: what a logged model says of itself, and its run
	// (https://mlflow.org/docs/latest/ml/model/#storage-format).
	"MLmodel":   {readMLmodel},
	"meta.yaml": {readMLflowRun},
}

// Training returns the records of training among the files of a model, as
// byproducts of the build: each with its path, its digest, which is that of the file
// in the model, and what it says. Times in them are told only when they are asked
// for. Warnings say what could not be told.
func Training(ctx context.Context, files []modelfile.File, times bool) (records []Resource, warnings []string, err error) {
	sorted := slices.SortedFunc(slices.Values(files), func(a, b modelfile.File) int { return strings.Compare(a.Path, b.Path) })
	for i := range sorted {
		f := &sorted[i]
		kind, ok := recordKinds[path.Base(f.Path)]
		switch {
		case !ok:
			continue
		case len(records) >= limits.TrainingRecords:
			return records, append(warnings, fmt.Sprintf("more than %d records of training: the others are not told of", limits.TrainingRecords)), nil
		case f.Size > limits.TrainingRecordBytes:
			warnings = append(warnings, fmt.Sprintf("%q is not told of: it has more than %d bytes", f.Path, limits.TrainingRecordBytes))
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		content, err := readFile(f)
		if err != nil {
			return nil, nil, err
		}
		said, err := kind.read(content, times)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%q is named, and what it says is not told: %v", f.Path, err))
		}
		if said == nil && err == nil {
			continue // another file of that name
		}
		sum := sha256.Sum256(content)
		records = append(records, Resource{
			Name: f.Path, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}, Annotations: said,
		})
	}
	return records, warnings, nil
}

func readFile(f *modelfile.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("%q: %w", f.Path, err)
	}
	defer r.Close()
	b := make([]byte, f.Size)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%q: %w", f.Path, err)
	}
	return b, nil
}

func readTrainerState(content []byte, _ bool) (map[string]any, error) {
	names := map[string]string{
		"global_step": "globalStep", "max_steps": "maxSteps", "epoch": "epoch", "num_train_epochs": "numTrainEpochs",
		"train_batch_size": "trainBatchSize", "total_flos": "totalFlos", "best_metric": "bestMetric", "best_global_step": "bestGlobalStep",
	}
	return numbers(content, func(key string) string { return names[key] })
}

func readResults(content []byte, _ bool) (map[string]any, error) {
	return numbers(content, cleanText)
}

func readMLmodel(content []byte, times bool) (map[string]any, error) {
	return topLevel(content, times, map[string]string{
		"run_id": "runId", "model_uuid": "modelUuid", "model_id": "modelId", "mlflow_version": "mlflowVersion",
	}, map[string]string{"utc_time_created": "created"})
}

// readMLflowRun knows the meta.yaml of a run by its run; experiments have such a
// file, too. Who ran it and where its files lie is nobody's business.
func readMLflowRun(content []byte, times bool) (map[string]any, error) {
	said, err := topLevel(content, times, map[string]string{
		"run_id": "runId", "run_uuid": "runId", "experiment_id": "experimentId", "status": "status", "source_version": "sourceVersion",
	}, map[string]string{"start_time": "startedOn", "end_time": "finishedOn"})
	if err != nil || said["runId"] == nil {
		return nil, err
	}
	return said, nil
}

// topLevel returns scalars at the top level of a YAML mapping in block style, which
// is how MLflow writes them. It takes lines for what they are: a signature of a model
// can be one line of a megabyte, which is passed over.
func topLevel(content []byte, times bool, names, timeNames map[string]string) (map[string]any, error) {
	said := map[string]any{}
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, limits.TrainingRecordBytes)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		value = cleanText(strings.Trim(strings.TrimSpace(value), `"'`))
		if !ok || value == "" || value == "null" {
			continue
		}
		if name := names[key]; name != "" {
			said[name] = value
		}
		if name := timeNames[key]; name != "" && times {
			if at := mlflowTime(value); at != "" {
				said[name] = at
			}
		}
	}
	return said, lines.Err()
}

// mlflowTime takes milliseconds since 1970, and the time without a zone that MLmodel
// has, which is UTC.
func mlflowTime(text string) string {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return stamp(time.UnixMilli(ms))
	}
	for _, layout := range []string{"2006-01-02 15:04:05.999999", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return stamp(t)
		}
	}
	return ""
}
