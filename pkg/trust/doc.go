// Package trust holds what a verifier believes: public keys, read from PEM, with
// the identifiers that others give them. A key is trusted because the policy or
// the command line names it, never because it came with an artifact.
package trust
