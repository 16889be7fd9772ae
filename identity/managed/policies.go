package managed

// source is a policy as it is generated.
type source struct {
	name, path, id, description, document string
}

var sources = [...]source{
	{"AdministratorAccess", "/", "ANPAIWMBCKSKIEE64ZLYI", "Allows everything.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`},
	{"PowerUserAccess", "/", "ANPAJYRXTHIB4FOVS3ZXS", "Allows everything but the management of users, groups and organizations.",
		`{"Version":"2012-10-17","Statement":[
{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},
{"Effect":"Allow","Action":["account:GetAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeOrganization"],"Resource":"*"}]}`},
	{"ReadOnlyAccess", "/", "ANPAILL3HVNFSB6DCOWYQ", "Allows reading.",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","kms:Describe*","kms:List*"],"Resource":"*"}]}`},
}
