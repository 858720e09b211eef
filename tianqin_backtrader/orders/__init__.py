"""What an order is: ticket, legs, contingency, conditions."""
