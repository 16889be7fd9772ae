package organization

import "strings"

// name puts an ARN together. Organizations' have no region, and the management account for all that belongs to the organization.
func (o *Organization) name(partition, kind, rest string) string {
	return "arn:" + partition + ":organizations::" + o.Management + ":" + kind + "/" + o.ID + rest
}

// ARN names the organization.
func (o *Organization) ARN(partition string) string { return o.name(partition, "organization", "") }

// RootARN names the organization's root.
func (o *Organization) RootARN(partition string) string {
	return o.name(partition, "root", "/"+o.Root)
}

// UnitARN names a unit of the organization.
func (o *Organization) UnitARN(partition, id string) string {
	return o.name(partition, "ou", "/"+id)
}

// AccountARN names an account of the organization.
func (o *Organization) AccountARN(partition, id string) string {
	return o.name(partition, "account", "/"+id)
}

// PolicyARN names a policy of the organization, or one of AWS's.
func (o *Organization) PolicyARN(partition string, p *Policy) string {
	kind := strings.ToLower(p.Type)
	if Managed(p.ID) != nil {
		return "arn:" + partition + ":organizations::aws:policy/" + kind + "/" + p.ID
	}
	return o.name(partition, "policy", "/"+kind+"/"+p.ID)
}

// ResourcePolicyARN names the organization's own policy.
func (o *Organization) ResourcePolicyARN(partition, id string) string {
	return o.name(partition, "resourcepolicy", "/"+id)
}

// ARN names the handshake.
func (h *Handshake) ARN(partition string) string {
	o := Organization{ID: h.OrgID, Management: h.Management}
	return o.name(partition, "handshake", "/"+strings.ToLower(h.Action)+"/"+h.ID)
}
