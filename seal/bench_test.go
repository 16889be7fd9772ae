package seal

import "testing"

func BenchmarkKeyring(b *testing.B) {
	k := Ephemeral()
	place := At("kms/material", "000000000000", "us-east-1", "1234")
	material := make([]byte, 32)
	wrapped, err := k.Wrap(place, material)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Wrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Wrap(place, material)
		}
	})
	b.Run("Unwrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			k.Unwrap(place, wrapped)
		}
	})
}
