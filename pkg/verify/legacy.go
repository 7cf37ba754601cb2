package verify

import "errors"

// statement reads what cosign attached before it had bundles.
func (l *Legacy) statement() (*signedStatement, error) {
	return nil, errors.New("it is of before bundles")
}
