package verify

import "testing"

func TestFolderString(t *testing.T) {
	for _, c := range []struct {
		in   folder
		want string
	}{
		{folder{account: "111122223333", region: "eu-west-1"}, "Account 111122223333, region eu-west-1"},
		{folder{"logs", "o-1", "111122223333", "eu-west-1"}, "Account 111122223333, region eu-west-1, organization o-1, below logs"},
	} {
		if got := c.in.String(); got != c.want {
			t.Errorf("%#v says %q, want %q", c.in, got, c.want)
		}
	}
}
