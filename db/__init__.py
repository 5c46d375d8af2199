"""What people ask for: tables, repositories named for the questions asked, migrations.

The only commit is in `db.session`. What happens next is Temporal's business: there is no job table and no retry column.
"""
