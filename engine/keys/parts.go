package keys

// NonceSize is the size of a blob's nonce, and TagSize that of its tag.
const (
	NonceSize = nonceSize
	TagSize   = tagSize
)

// Parts are the pieces of a blob, in their order. Header is all that comes before the nonce.
type Parts struct{ Header, Nonce, Ciphertext, Tag []byte }

// BlobHeader is the header of blobs of [Key.EncryptBlob].
func BlobHeader(h Header) ([]byte, error) { return appendHeader(nil, blobFormat, h) }

// SplitBlob takes a blob of [Key.EncryptBlob] apart, for who keeps its pieces in different places. They are parts of blob, which they make up
// again one behind the other. Anything else, blobs of [OutsideBlob] included, is [ErrInvalidCiphertext].
func SplitBlob(blob []byte) (Parts, error) {
	_, _, header, ok := splitBlob(blob)
	if !ok {
		return Parts{}, ErrInvalidCiphertext
	}
	ciphertext, tag := header+nonceSize, len(blob)-tagSize
	return Parts{blob[:header], blob[header:ciphertext], blob[ciphertext:tag], blob[tag:]}, nil
}
