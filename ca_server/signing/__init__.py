"""Keys and what is signed with them: key stores, certificates, CRLs, and the lint that stands before release."""
