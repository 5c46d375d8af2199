"""Questions to the database, one repository for each noun; none of them commits."""
