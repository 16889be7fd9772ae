package organizations

import "github.com/holdfast-cloud/holdfast/api/organizations"

// The texts of errors that several operations answer with.

func notAllowed() error {
	return &organizations.AccessDeniedException{Message: "You don't have permissions to access this resource."}
}

func noAccount() error {
	return &organizations.AccountNotFoundException{Message: "You specified an account that doesn't exist."}
}

func noParent() error {
	return &organizations.ParentNotFoundException{Message: "You specified parent that doesn't exist."}
}

func noUnit() error {
	return &organizations.OrganizationalUnitNotFoundException{Message: "You specified an organizational unit that doesn't exist."}
}

func noPolicy() error {
	return &organizations.PolicyNotFoundException{Message: "You specified a policy that doesn't exist."}
}

func noTarget() error {
	return &organizations.TargetNotFoundException{Message: "You specified a target that doesn't exist."}
}

func noRoot() error {
	return &organizations.RootNotFoundException{Message: "You specified a root that doesn't exist."}
}

func noHandshake() error {
	return &organizations.HandshakeNotFoundException{Message: "You specified a handshake that doesn't exist."}
}

func managementStays() error {
	return &organizations.MasterCannotLeaveOrganizationException{Message: "You can't remove a management account from an organization."}
}

func invalid(reason organizations.InvalidInputExceptionReason, message string) error {
	return &organizations.InvalidInputException{Message: message, Reason: reason}
}

func constraint(reason organizations.ConstraintViolationExceptionReason, message string) error {
	return &organizations.ConstraintViolationException{Message: message, Reason: reason}
}

func handshakeConstraint(reason organizations.HandshakeConstraintViolationExceptionReason, message string) error {
	return &organizations.HandshakeConstraintViolationException{Message: message, Reason: reason}
}
