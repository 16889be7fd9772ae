// Package interop has only tests. They run Holdfast as a process of its own, and the clients that people encrypt and sign with against it: the AWS
// Encryption SDK for Go and for JavaScript, SOPS, cosign, the seal of Vault and OpenBao, and the Kubernetes API server's. It is a module of its own, so that what those need does
// not come into Holdfast's go.mod.
//
// docs/client-side-encryption.md and docs/kubernetes.md tell how to use them. What they show is what the tests do.
package interop
