"""Recommendation: what to change, what it saves and how sure that is; or why nothing should change."""
