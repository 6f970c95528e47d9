"""The people who work here: their accounts, how they sign in, and the sessions that follow.

It knows nothing of incidents, cases or customers; what somebody may do stands in `app.rights`.
"""
