"""Alerts: their rules, their schedule, and how they are sent."""
