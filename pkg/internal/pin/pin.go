// Package pin holds modules in go.mod until their first use lands.
package pin

import (
	_ "cel.dev/cel-go/cel"
	_ "cel.dev/cel-go/ext"
	_ "github.com/Masterminds/semver/v3"
	_ "github.com/sigstore/cosign/v2/pkg/providers/all"
	_ "github.com/sigstore/cosign/v2/pkg/signature"
	_ "github.com/sigstore/sigstore/pkg/oauthflow"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	_ "github.com/zeebo/blake3"
)
