"""Cases made by rule: each states what is clinically so, and none asks the detector."""
