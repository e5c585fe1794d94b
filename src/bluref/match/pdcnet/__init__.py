"""PDC-Net+ on GLU-Net-GOCor: dense probabilistic matching, written from its formulas.

After Truong et al., "PDC-Net+: Enhanced Probabilistic Dense Correspondence Network" (2021) and
"GOCor: Bringing Globally Optimized Correspondence Volumes into Your Neural Network" (2020).
"""
